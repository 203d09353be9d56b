/** Where an API server has the objects of a manifest. */

/** The URL path that such an object is sent to, to be created in a namespace. */
export const pathOf = (
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
  namespace: string
): string =>
  `/${apiVersion.includes("/") ? "apis" : "api"}/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s`
