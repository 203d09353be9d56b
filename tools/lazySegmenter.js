/**
 * What the command line uses of `Intl.Segmenter`, made when it is first used. The help texts of `effect/cli` need one, and make it when they
 * are loaded, which takes as long as starting a process does. `package.ts` puts this in its place.
 */
const { Segmenter } = Intl

export class LazySegmenter {
  #made
  #args
  constructor(...args) {
    this.#args = args
  }
  segment(text) {
    this.#made ??= new Segmenter(...this.#args)
    return this.#made.segment(text)
  }
}
