// Runs no-op jobs with graphile-worker, in batches, and prints how many a second: from the first job to the last, so
// that its start costs it nothing.
//
//   node graphile-worker.mjs URL JOBS PROCESSES
import { fork } from "node:child_process";
import { Logger, run, runMigrations } from "graphile-worker";
import pg from "pg";

const preset = (connectionString) => ({
  worker: {
    connectionString,
    concurrentJobs: 24,
    maxPoolSize: 10,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
});

async function work(url) {
  let done = 0;
  let first = 0;
  let last = 0;
  const nothing = () => {
    last = performance.timeOrigin + performance.now();
    first ||= last;
    done += 1;
  };
  const logger = new Logger(() => (level, { message }) => level === "error" && console.error(message));
  const runner = await run({ preset: preset(url), logger, taskList: { nothing }, noHandleSignals: true });
  setInterval(() => process.send({ done, first, last }), 50);
  process.on("message", async () => {
    await runner.stop();
    process.exit(0);
  });
}

async function measure(url, jobs, processes) {
  const logger = new Logger(() => () => {});
  await runMigrations({ preset: preset(url), logger });
  const client = new pg.Client(url);
  await client.connect();
  await client.query(
    `SELECT count(*) FROM graphile_worker.add_jobs((
       SELECT array_agg(json_populate_record(NULL::graphile_worker.job_spec,
                json_build_object('identifier', 'nothing', 'payload', json_build_object('n', n))))
       FROM generate_series(1, $1::int) AS n))`,
    [jobs],
  );
  await client.query("VACUUM ANALYZE graphile_worker._private_jobs");
  await client.end();
  const states = [];
  await new Promise((resolve) => {
    for (let n = 0; n < processes; n += 1) {
      const child = fork(new URL(import.meta.url), ["work", url]);
      child.on("message", (state) => {
        states[n] = { ...state, child };
        if (states.reduce((sum, state) => sum + (state?.done ?? 0), 0) >= jobs) resolve();
      });
    }
  });
  const busy = states.filter((state) => state?.done);
  const seconds = (Math.max(...busy.map((s) => s.last)) - Math.min(...busy.map((s) => s.first))) / 1000;
  console.log(jobs / seconds);
  for (const { child } of states.filter(Boolean)) child.send("stop");
}

const [first, ...rest] = process.argv.slice(2);
if (first === "work") await work(rest[0]);
else await measure(first, Number(rest[0]), Number(rest[1]));
