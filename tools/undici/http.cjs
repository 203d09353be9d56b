/**
 * What undici uses of `node:http`, which takes as long to load as all of undici: how large the head of a response may be, which is the default
 * of Node.js here. It also asks whether a body is a request that a server has received. None is one here, so there is no class of them.
 */
exports.maxHeaderSize = 16 * 1024
