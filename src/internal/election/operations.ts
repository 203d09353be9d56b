/** The files that elections are made of. `LeaderElection` loads this one with the first election. */
export * as electionStore from "./electionStore.ts"
export * as leader from "./leader.ts"
