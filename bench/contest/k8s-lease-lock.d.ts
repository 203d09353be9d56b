/** The part that is used of a package without types. */
declare module "@nullplatform/k8s-lease-lock" {
  export class K8SLock {
    constructor(options: {
      readonly leaseName: string
      readonly namespace: string
      readonly lockLeaserId: string
      readonly leaseDurationInSeconds: number
      readonly createLeaseIfNotExist: boolean
    })
    getLock(waitUntilLock: boolean): Promise<boolean>
  }
}
