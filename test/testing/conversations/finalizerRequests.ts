/** Requests about an object with a finalizer that is being deleted, for any kind. */
import { merge, type Step, step } from "./step.ts"

/** The conversation: `object` has the name `going` and the finalizer `x.io/a`. */
export const aboutFinalizers = (collection: string, object: object): ReadonlyArray<Step> => {
  const going = `${collection}/going`
  const patch = (title: string, metadata: object) => step(title, "PATCH", going, { metadata }, merge)
  return [
    step("an object with a finalizer", "POST", collection, object),
    step("a DELETE of an object with a finalizer", "DELETE", going),
    patch("an object that is being deleted gets a finalizer", { finalizers: ["x.io/b", "x.io/a", "w.io/a"] }),
    patch("an object that is being deleted gets a label", { labels: { l: "1" } }),
    patch("an object that is being deleted gets other finalizers", { finalizers: ["x.io/b"] }),
    patch("an object that is being deleted loses its finalizer", { finalizers: null }),
    step("an object without its finalizer is gone", "GET", going)
  ]
}
