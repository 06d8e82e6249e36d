/** Whether work leaves the event loop free. */

/** Most milliseconds by which a timer of 10 ms was late while `work` ran. */
async function lateness(work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  let due = performance.now() + 10;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - due);
    due = now + 10;
  }, 10);
  try {
    await work();
  } finally {
    // What blocked the loop to the end counts too.
    worst = Math.max(worst, performance.now() - due);
    clearInterval(timer);
  }
  return worst;
}

/**
 * The least lateness of three runs, or of fewer once it is below `enough`. On a busy machine the
 * system too makes a timer late, now and then; work that blocks the loop does so every time.
 */
export async function leastLateness(work: () => Promise<unknown>, enough: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 3 && least >= enough; i++) least = Math.min(least, await lateness(work));
  return least;
}
