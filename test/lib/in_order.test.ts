import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { inOrder } from '../../lib/in_order.js';

async function* numbers(count: number): AsyncGenerator<number, void, undefined> {
  for (let i = 0; i < count; i++) yield await Promise.resolve(i);
}

void test('results come in order, so many at once as is said', async () => {
  let running = 0;
  let most = 0;
  const out: number[] = [];
  const work = async (item: number): Promise<number> => {
    most = Math.max(most, ++running);
    await sleep((item * 7) % 5);
    running--;
    return item * 2;
  };
  for await (const result of inOrder(numbers(20), 3, work)) out.push(result);
  assert.deepEqual(
    out,
    Array.from({ length: 20 }, (_, i) => i * 2),
  );
  assert.equal(most, 3);
});

void test('a failure comes in its turn, and no more is begun after it', async () => {
  const begun: number[] = [];
  const out: number[] = [];
  const work = async (item: number): Promise<number> => {
    begun.push(item);
    await sleep(1);
    if (item === 2) throw new Error('two');
    return item;
  };
  await assert.rejects(async () => {
    for await (const result of inOrder(numbers(100), 2, work)) out.push(result);
  }, /two/);
  assert.deepEqual(out, [0, 1]);
  assert.ok(begun.length <= 7, `${begun.length} were begun`);
});

void test('the consumer sets the pace', async () => {
  let begun = 0;
  const iterator = inOrder(numbers(100), 2, async (item) => {
    begun++;
    return Promise.resolve(item);
  });
  await iterator.next();
  await sleep(5);
  assert.ok(begun <= 4, `${begun} were begun`);
  await iterator.return();
});
