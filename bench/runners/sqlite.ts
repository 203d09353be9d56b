/** Effect's SQL client on `node:sqlite`: one file, one connection, one statement or transaction at a time. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

/** The client of the database in this file. */
export const layer = (file: string): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file)),
        (database) => Effect.sync(() => database.close())
      )
      database.exec("PRAGMA journal_mode = WAL")
      const semaphore = yield* Semaphore.make(1)
      const run = (sql: string, params: ReadonlyArray<unknown>, returnsArrays: boolean) =>
        Effect.try({
          try: () => {
            const statement = database.prepare(sql)
            statement.setReturnArrays(returnsArrays)
            return statement.all(...(params as ReadonlyArray<SQLInputValue>)) as ReadonlyArray<unknown>
          },
          catch: (cause) => new SqlError.SqlError({ reason: new SqlError.UnknownError({ cause }) })
        })
      const values = (sql: string, params: ReadonlyArray<unknown>) =>
        run(sql, params, true) as Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError.SqlError>
      const rows: Connection["execute"] = (sql, params, transform) =>
        Effect.map(run(sql, params, false) as Effect.Effect<ReadonlyArray<object>, SqlError.SqlError>, (rows) =>
          transform === undefined ? rows : transform(rows)
        )
      const connection: Connection = {
        execute: rows,
        executeRaw: (sql, params) => run(sql, params, false),
        executeStream: () => Stream.die("not used here"),
        executeValues: values,
        executeValuesUnprepared: values,
        executeUnprepared: rows
      }
      return yield* SqlClient.make({
        acquirer: Effect.as(Semaphore.takeScoped(semaphore, 1), connection),
        compiler: Statement.makeCompilerSqlite(),
        driver: "node:sqlite",
        spanAttributes: []
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
