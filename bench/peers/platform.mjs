// The local platform in a process of its own. Told { jobs, concurrency, seconds } it runs empty jobs,
// so many at once, and answers with the milliseconds each took from its submission to its result.
import { LocalPlatform } from '../../dist/src/server/platform.js';

const platform = await LocalPlatform.start();
process.send(platform.environment('bench'));

process.on('message', async ({ jobs, concurrency, seconds }) => {
  const latencies = [];
  const started = performance.now();
  let left = jobs;
  let wrong = 0;
  const submit = async () => {
    while (left > 0 && performance.now() - started < seconds * 1000) {
      left -= 1;
      const submitted = performance.now();
      const { status } = await platform.run({ n: left });
      latencies.push(performance.now() - submitted);
      if (status !== 'COMPLETED') wrong += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, submit));
  process.send({ latencies, wrong, seconds: (performance.now() - started) / 1000 });
});
process.on('disconnect', () => process.exit());
