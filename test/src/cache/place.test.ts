import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertWhole, debrisIn, fixture, namesIn } from './fixture.js';
import { canBecomeRoot, runAsRoot, tmpfs, whyNoMount } from './mount.js';

const MB = 1_000_000;
const skip = whyNoMount;

test('as root of a namespace of its own', { skip: !canBecomeRoot && 'not wanted here' }, () => {
  runAsRoot(fileURLToPath(import.meta.url));
});

test('300 MB as the volume: filled, its oldest evicted, passed over', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b', 'org/c']) f.addModel(name, 100 * MB);
  f.addModel('org/huge', 250 * MB);
  const mounted = await tmpfs(t, 300 * MB);
  const volume = f.tier('volume', { path: join(mounted, 'models'), mount: mounted });
  const build = f.tier('build');
  const store = f.store([volume, build]);
  assert.equal((await store.resolve('org/a')).tier, 'volume');
  assert.equal((await store.resolve('org/b')).tier, 'volume');
  // Used again, so that b is the older one now.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await store.resolve('org/a');
  assert.equal((await store.resolve('org/c')).tier, 'volume');
  assert.deepEqual(await namesIn(volume), ['models--org--a', 'models--org--c']);
  assert.deepEqual(
    f.events
      .filter(({ type }) => type === 'evicted')
      .map((event) => event.type === 'evicted' && event.repository),
    ['org/b'],
  );

  // Too large whatever is evicted: then nothing is.
  f.lines.length = 0;
  assert.equal((await store.resolve('org/huge')).tier, 'build');
  assert.match(
    f.lines.join('\n'),
    /org\/huge: 250\.0 MB go to build .*; volume passed over: .* of 250\.0 MB needed .* evicting is not enough/,
  );
  assert.deepEqual(await namesIn(volume), ['models--org--a', 'models--org--c']);

  // In use: not evicted either.
  const held = [await store.acquire('org/a'), await store.acquire('org/c')];
  const b = await store.resolve('org/b');
  assert.equal(b.tier, 'build');
  await assertWhole(f, 'org/b', b.folder);
  for (const model of held) await model.release();
  assert.deepEqual(await debrisIn(volume), []);
});

test('300 MB as everything: what fits, and one error that names each tier', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 100 * MB);
  f.addModel('org/huge', 250 * MB);
  const mounted = await tmpfs(t, 300 * MB);
  const tiers = [
    f.tier('volume', { path: join(mounted, 'v'), mount: join(f.root) }),
    f.tier('build', { path: join(mounted, 'b'), limit: 150 * MB }),
    f.tier('emergency', { path: join(mounted, 'e') }),
  ];
  const store = f.store(tiers);
  const a = await store.acquire('org/a');
  // The one with most room: build may hold less.
  assert.equal(a.tier, 'emergency');
  await assert.rejects(store.resolve('org/huge'), (error: Error & { code: string }) => {
    assert.equal(error.code, 'DISK_FULL');
    assert.match(error.message, /volume \(.*\): .* is not mounted/);
    assert.match(error.message, /build \(.*\): it may hold 150\.0 MB, and 250\.0 MB are needed/);
    assert.match(error.message, /emergency \(.*\): .* of 250\.0 MB needed/);
    return true;
  });
  await assertWhole(f, 'org/a', a.folder);
  // Now both have as much: on one disk the order given counts.
  assert.equal((await store.resolve('org/b')).tier, 'build');
  await a.release();
  // Nothing is left of what did not fit.
  for (const tier of tiers) assert.deepEqual(await debrisIn(tier), []);
});

test('two at once do not count the same free bytes', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 130 * MB);
  f.hub.bytesPerSecond = 200 * MB;
  const mounted = await tmpfs(t, 300 * MB);
  const tiers = [f.tier('volume', { path: join(mounted, 'v') }), f.tier('build')];
  // Two stores know nothing of each other but what lies in the tiers.
  const [a, b] = await Promise.all([
    f.store(tiers).resolve('org/a'),
    f.store(tiers).resolve('org/b'),
  ]);
  assert.deepEqual([a.tier, b.tier].sort(), ['build', 'volume']);
  await assertWhole(f, 'org/a', a.folder);
  await assertWhole(f, 'org/b', b.folder);
  assert.ok(!f.lines.some((line) => /full|failed|Evicted/.test(line)), f.lines.join('\n'));

  // On one disk, two tiers share what is free.
  await rm(join(mounted, 'v'), { recursive: true });
  const shared = [
    f.tier('volume', { path: join(mounted, 'x') }),
    f.tier('emergency', { path: join(mounted, 'y') }),
  ];
  const outcomes = await Promise.allSettled(
    ['org/a', 'org/b'].map((name) => f.store(shared).resolve(name)),
  );
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const refused = outcomes.find((outcome) => outcome.status === 'rejected');
  assert.match(String(refused?.reason), /emergency .*: .* free of 130\.0 MB needed/);
});

test('a disk that fills up in the middle', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 100 * MB);
  const mounted = await tmpfs(t, 300 * MB);
  const volume = f.tier('volume', { path: join(mounted, 'v') });
  const build = f.tier('build');
  const filler = join(mounted, 'somebody-elses');
  const fillWhile = async (
    tiers: (typeof volume)[],
  ): ReturnType<ReturnType<typeof f.store>['resolve']> => {
    f.hub.bytesPerSecond = 100 * MB;
    let filling: Promise<void> | undefined;
    const result = f.store(tiers).resolve('org/b', {
      onProgress: ({ bytes }) => {
        if (bytes > 5 * MB) {
          // Whichever of the two meets the end of the disk first.
          filling ??= writeFile(filler, Buffer.alloc(140 * MB)).catch(() => undefined);
        }
      },
    });
    return result.finally(async () => {
      await filling;
      await rm(filler, { force: true });
      f.hub.bytesPerSecond = 0;
    });
  };
  await t.test('evicts the model used longest ago and goes on', async () => {
    await f.store([volume]).resolve('org/a');
    const b = await fillWhile([volume]);
    await assertWhole(f, 'org/b', b.folder);
    assert.deepEqual(await namesIn(volume), ['models--org--b']);
    assert.ok(f.lines.some((line) => /was full; going on after an eviction/.test(line)));
    await rm(join(volume.path, 'models--org--b'), { recursive: true });
  });
  const holder = f.store([volume]);
  const a = await holder.acquire('org/a');
  await t.test('with nothing to evict, goes to the next tier', async () => {
    const b = await fillWhile([volume, build]);
    assert.equal(b.tier, 'build');
    await assertWhole(f, 'org/b', b.folder);
    assert.deepEqual(await namesIn(volume), ['models--org--a']);
    assert.deepEqual(await debrisIn(build), []);
  });
  await t.test('with no other tier, fails that fetch alone', async () => {
    await assert.rejects(fillWhile([volume]), {
      code: 'DISK_FULL',
      message: /volume .*: it filled up while the model was written/,
    });
    assert.deepEqual(await namesIn(volume), ['models--org--a']);
    await assertWhole(f, 'org/a', a.folder);
  });
  await a.release();
});

test('a full disk can still be evicted from', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 100 * MB);
  const mounted = await tmpfs(t, 200 * MB);
  const volume = f.tier('volume', { path: join(mounted, 'v') });
  await f.store([volume]).resolve('org/a');
  spawnSync('dd', ['if=/dev/zero', `of=${join(mounted, 'fill')}`, 'bs=1M']);
  assert.throws(() =>
    execFileSync('cp', ['/proc/self/cmdline', join(mounted, 'x')], { stdio: 'pipe' }),
  );
  await f.store([volume]).cache.evictFrom(volume, 'org/b');
  assert.deepEqual(await namesIn(volume), []);
});

test('a read-only volume is read, not written', { skip }, async (t) => {
  const f = await fixture(t);
  for (const name of ['org/a', 'org/b']) f.addModel(name, 5000);
  const mounted = await tmpfs(t, 200 * MB);
  const tiers = [f.tier('volume', { path: join(mounted, 'v') }), f.tier('build')];
  await f.store(tiers).resolve('org/a');
  execFileSync('mount', ['-o', 'remount,bind,ro', mounted]);
  f.lines.length = 0;
  const store = f.store(tiers);
  const a = await store.acquire('org/a');
  assert.equal(a.tier, 'volume');
  await assertWhole(f, 'org/a', a.folder);
  await a.release();
  assert.equal((await store.resolve('org/b')).tier, 'build');
  assert.match(f.lines.join('\n'), /volume passed over: .*(EROFS|cannot be written)/);
});

test('a volume that disappears in the middle is passed over', { skip }, async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 20 * MB);
  f.hub.bytesPerSecond = 20 * MB;
  const mounted = await tmpfs(t, 200 * MB);
  const volume = f.tier('volume', { path: join(mounted, 'v'), mount: mounted });
  let gone = false;
  const a = await f.store([volume, f.tier('build')]).resolve('org/a', {
    onProgress: ({ bytes }) => {
      if (bytes < 5 * MB || gone) return;
      gone = true;
      execFileSync('umount', ['-l', mounted]);
    },
  });
  assert.equal(a.tier, 'build');
  await assertWhole(f, 'org/a', a.folder);
  assert.match(f.lines.join('\n'), /volume \(.*\) failed: ENOENT/);
});

test('a tier that answers with errors is passed over, with one line', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const [volume, build] = [f.tier('volume'), f.tier('build')];
  const a = await f.store([build]).resolve('org/a');
  const refs = join(volume.path, 'models--org--a', 'refs');
  await mkdir(refs, { recursive: true });
  // Reading there is EIO, as on a disk that is broken.
  await symlink('/proc/self/mem', join(refs, 'main'));
  await assert.rejects(readFile(join(refs, 'main')), { code: 'EIO' });
  const store = f.store([volume, build]);
  f.lines.length = 0;
  for (let i = 0; i < 3; i++)
    assert.deepEqual(await store.resolve('org/a'), { ...a, source: 'cache' });
  assert.equal(f.lines.length, 1);
  assert.match(f.lines[0] ?? '', /^volume \(.*\) is passed over: EIO/);
});

test('a tier that never answers is left alone', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const volume = f.tier('volume', { answerMs: 200 });
  const refs = join(volume.path, 'models--org--a', 'refs');
  await mkdir(refs, { recursive: true });
  // Nobody writes to it, so whoever opens it waits: a network volume whose server is gone.
  const pipe = join(refs, 'main');
  execFileSync('mkfifo', [pipe]);
  try {
    const store = f.store([volume, f.tier('build')]);
    const started = performance.now();
    for (let i = 0; i < 10; i++) assert.equal((await store.resolve('org/a')).tier, 'build');
    assert.ok(performance.now() - started < 5000);
    assert.equal(f.lines.filter((line) => /did not answer within 0\.2 s/.test(line)).length, 1);
    assert.match((await store.cache.status())[0]?.problem ?? '', /did not answer lately/);
  } finally {
    // Lets go of the thread that waits, or this process would not end.
    const file = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    setTimeout(() => closeSync(file), 100);
  }
});

test('what is no folder of ours is passed over, and said why', async (t) => {
  const f = await fixture(t);
  f.addModel('org/a', 5000);
  const file = f.tier('volume');
  await writeFile(file.path, 'a file');
  const open = f.tier('emergency', { checkOwner: true });
  await mkdir(open.path);
  await chmod(open.path, 0o777);
  const user = f.tier('user', { mount: f.root });
  const build = f.tier('build');
  const resolved = await f.store([file, user, open, build]).resolve('org/a');
  assert.equal(resolved.tier, 'build');
  const line = f.lines.find((one) => one.includes('go to')) ?? '';
  assert.match(line, /volume passed over: it is not a folder/);
  assert.match(line, /user passed over: .* is not mounted/);
  await assert.rejects(f.store([open, file]).resolve('org/a'), {
    code: 'DOWNLOAD_FAILED',
    message: /emergency .*: others can write there\n.*volume .*: it is not a folder/,
  });
});
