/** Work on several items at once, whose results come in the items' order. */

/**
 * `limit` items are worked on at once; as many again may be done and wait for one before them. A
 * failure ends the iteration when its turn comes.
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const results: Promise<Result>[] = [];
  const active = new Set<Promise<unknown>>();
  for await (const item of items) {
    while (active.size >= limit) await Promise.race(active);
    const result = work(item);
    // A failure is thrown in its turn, and must not be unhandled until then.
    const done: Promise<unknown> = Promise.allSettled([result]).then(() => active.delete(done));
    active.add(done);
    results.push(result);
    const [first] = results;
    if (results.length >= 2 * limit && first !== undefined) {
      yield await first;
      void results.shift();
    }
  }
  for (const result of results) yield await result;
}
