/**
 * The proxy that the environment names for a URL, by the rules of Go (`golang.org/x/net/http/httpproxy`), which kubectl
 * follows. Pure.
 */
import { BlockList, isIP } from "node:net"

/**
 * `HTTPS_PROXY` or `HTTP_PROXY`, whichever fits the URL, unless `NO_PROXY` excepts its host. Each may be in lower case.
 * Hosts of the loopback interface are always excepted.
 */
export const fromEnvironment = (
  variables: Readonly<Record<string, string | undefined>>,
  origin: string
): string | undefined => {
  const url = new URL(origin)
  const get = (name: string) => variables[name] || variables[name.toLowerCase()] || undefined
  const proxy = get(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY")
  if (proxy === undefined) return undefined
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase()
  const port = url.port || (url.protocol === "https:" ? "443" : "80")
  if (host === "localhost" || contains("127.0.0.0/8", host) || host === "::1") return undefined
  const isExcepted = (get("NO_PROXY") ?? "")
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== "" && excepts(entry, host, port))
  if (isExcepted) return undefined
  return proxy.includes("://") ? proxy : `http://${proxy}`
}

// An entry is `*`, an address, a range of addresses, or a domain with all its subdomains (`.domain`: only these). All but
// ranges may end with a port.
const excepts = (entry: string, host: string, port: string): boolean => {
  if (entry === "*") return true
  if (entry.includes("/")) return contains(entry, host)
  const [, name, entryPort] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry)!
  if (entryPort !== undefined && entryPort !== port) return false
  const bare = name!.replace(/^\[(.*)\]$/, "$1").replace(/^\*(?=\.)/, "")
  if (isIP(bare) !== 0 || isIP(host) !== 0) return bare === host
  return bare.startsWith(".") ? host.endsWith(bare) : host === bare || host.endsWith(`.${bare}`)
}

const contains = (range: string, host: string): boolean => {
  const [address = "", length] = range.split("/")
  const families = { 4: "ipv4", 6: "ipv6" } as const
  const [family, of] = [isIP(host), isIP(address)]
  if ((family !== 4 && family !== 6) || family !== of || !/^\d+$/.test(length ?? "")) return false
  if (Number(length) > (family === 4 ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(address, Number(length), families[family])
  return list.check(host, families[family])
}
