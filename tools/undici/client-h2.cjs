/** HTTP/2 for undici, loaded with the first connection that speaks it: that of a watch. */
module.exports = (client, socket) => require("undici/lib/dispatcher/client-h2.js")(client, socket)
