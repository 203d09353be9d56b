/**
 * What undici uses of `node:assert`, which takes two milliseconds to load: a condition is checked, and `node:assert` reports the one that does
 * not hold. `package.ts` puts this in its place.
 */
module.exports = (condition, message) => {
  if (!condition) process.getBuiltinModule("node:assert").ok(condition, message)
}
