// Seconds, CPU seconds and the most memory above what the idle process has.

export async function measure(work, prepare = () => {}) {
  await prepare();
  globalThis.gc?.();
  const idle = process.memoryUsage.rss();
  let peak = idle;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(watch);
  peak = Math.max(peak, process.memoryUsage.rss());
  console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, memory: peak - idle }));
}
