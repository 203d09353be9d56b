/** Where the provider keeps its tokens: in memory, for one run. Its own default forgets tokens beyond a thousand. */
import type { Adapter, AdapterPayload } from "oidc-provider"

/** Makes the adapters of one provider. */
export const make = (): ((name: string) => Adapter) => {
  const all = new Map<string, Map<string, AdapterPayload>>()
  return (name) => {
    const own = all.get(name) ?? new Map<string, AdapterPayload>()
    all.set(name, own)
    const findBy = async (matches: (payload: AdapterPayload) => boolean) => [...own.values()].find(matches)
    return {
      upsert: async (id, payload) => void own.set(id, payload),
      find: async (id) => own.get(id),
      findByUserCode: (userCode) => findBy((payload) => payload.userCode === userCode),
      findByUid: (uid) => findBy((payload) => payload.uid === uid),
      consume: async (id) => {
        const payload = own.get(id)
        if (payload !== undefined) own.set(id, { ...payload, consumed: Math.floor(Date.now() / 1000) })
      },
      destroy: async (id) => void own.delete(id),
      revokeByGrantId: async (grantId) => {
        for (const [id, payload] of own) if (payload.grantId === grantId) own.delete(id)
      }
    }
  }
}
