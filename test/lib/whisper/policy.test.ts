/** The parts of Whisper's policy that need no model, on inputs small enough to work out by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decodeWithFallback,
  isSilence,
  needsFallback,
  type Attempt,
  type Thresholds,
} from '../../../lib/whisper/fallback.js';
import { PromptHistory, buildPrompt } from '../../../lib/whisper/prompt.js';
import { seekLoop, type SeekLoop } from '../../../lib/whisper/seek_loop.js';
import { windowSeed } from '../../../lib/whisper/seed.js';
import { clipFrames, splitWindow, type Clip } from '../../../lib/whisper/segments.js';
import type { Segment } from '../../../lib/whisper/types.js';

const begin = 1000;
/** Token of a time in seconds. */
const at = (seconds: number): number => begin + Math.round(seconds / 0.02);

describe('splitWindow', () => {
  const layout = { seek: 500, size: 3000, timestampBegin: begin, framesPerTimestamp: 2 };

  it('cuts at pairs of timestamps and seeks to the last pair', () => {
    const tokens = [at(0), 1, 2, at(2), at(3), 3, at(4), at(4), 4, 5];
    assert.deepEqual(splitWindow(tokens, layout), {
      pieces: [
        { start: 5, end: 7, tokens: [at(0), 1, 2, at(2)] },
        { start: 8, end: 9, tokens: [at(3), 3, at(4)] },
      ],
      next: 500 + 400,
      endsInOne: false,
    });
  });

  it('takes the rest too where it ends in one timestamp, and moves on by the window', () => {
    const tokens = [at(0), 1, at(2), at(2), 2, at(5)];
    assert.deepEqual(splitWindow(tokens, layout), {
      pieces: [
        { start: 5, end: 7, tokens: [at(0), 1, at(2)] },
        { start: 7, end: 10, tokens: [at(2), 2, at(5)] },
      ],
      next: 3500,
      endsInOne: true,
    });
  });

  it('makes one segment where there is no pair', () => {
    assert.deepEqual(splitWindow([at(0), 1, 2], { ...layout, size: 1000 }), {
      pieces: [{ start: 5, end: 15, tokens: [at(0), 1, 2] }],
      next: 1500,
      endsInOne: false,
    });
    assert.deepEqual(splitWindow([at(0), 1, 2, at(3)], layout).pieces[0]?.end, 8);
    assert.deepEqual(splitWindow([], layout), {
      pieces: [{ start: 5, end: 35, tokens: [] }],
      next: 3500,
      endsInOne: false,
    });
  });

  it('always moves on', () => {
    assert.equal(splitWindow([begin, begin], layout).next, 3500);
  });
});

describe('clipFrames', () => {
  it('pairs starts and ends, the last end being that of the recording', () => {
    assert.deepEqual(clipFrames([]), [[0, Infinity]]);
    assert.deepEqual(clipFrames([0]), [[0, Infinity]]);
    assert.deepEqual(clipFrames([1.005, 2, 3.5]), [
      [100, 200],
      [350, Infinity],
    ]);
  });
});

const thresholds: Thresholds = {
  compressionRatioThreshold: 2.4,
  logProbThreshold: -1,
  noSpeechThreshold: 0.6,
};
const good: Attempt = {
  ...{ tokens: [1], temperature: 0, avgLogProb: -0.3, compressionRatio: 1.2, noSpeechProb: 0.01 },
};

describe('fallback', () => {
  it('is for what is repetitive or unlikely', () => {
    assert.equal(needsFallback(good, thresholds), false);
    assert.equal(needsFallback({ ...good, compressionRatio: 2.41 }, thresholds), true);
    assert.equal(needsFallback({ ...good, compressionRatio: 2.4 }, thresholds), false);
    assert.equal(needsFallback({ ...good, avgLogProb: -1.01 }, thresholds), true);
    assert.equal(needsFallback({ ...good, avgLogProb: -1 }, thresholds), false);
  });

  it('is not for silence', () => {
    const quiet = { ...good, avgLogProb: -1.5, noSpeechProb: 0.7, compressionRatio: 9 };
    assert.equal(needsFallback(quiet, thresholds), false);
    assert.equal(isSilence(quiet, thresholds), true);
    assert.equal(isSilence({ ...quiet, avgLogProb: -0.9 }, thresholds), false);
    assert.equal(isSilence({ ...quiet, noSpeechProb: 0.6 }, thresholds), false);
  });

  it('looks at no threshold that is off', () => {
    const bad = { ...good, compressionRatio: 99, avgLogProb: -99, noSpeechProb: 1 };
    const off = {
      ...{ compressionRatioThreshold: null, logProbThreshold: null, noSpeechThreshold: null },
    };
    assert.equal(needsFallback(bad, off), false);
    assert.equal(isSilence(bad, off), false);
    // As in the reference, without a threshold for the text quiet alone makes silence.
    assert.equal(isSilence(good, { ...off, noSpeechThreshold: 0 }), true);
  });

  it('tries temperatures in turn and keeps the last attempt', async () => {
    const tried: number[] = [];
    const decode = (temperature: number, index: number): Promise<Attempt> => {
      tried.push(temperature);
      return Promise.resolve({ ...good, temperature, avgLogProb: index === 2 ? -0.5 : -2 });
    };
    const attempt = await decodeWithFallback([0, 0.2, 0.4, 0.6], thresholds, decode);
    assert.deepEqual(tried, [0, 0.2, 0.4]);
    assert.equal(attempt.temperature, 0.4);
    assert.equal((await decodeWithFallback([0, 0.2], thresholds, decode)).temperature, 0.2);
  });
});

describe('prompts', () => {
  const textContext = 20;

  it('put the text before the head, cut to its end', () => {
    assert.deepEqual(buildPrompt({ head: [50, 51], previous: [] }, 49, textContext), {
      tokens: Int32Array.of(50, 51),
      startOfTranscript: 0,
    });
    const previous = Array.from({ length: 12 }, (_, i) => i);
    assert.deepEqual(buildPrompt({ head: [50, 51], previous }, 49, textContext), {
      tokens: Int32Array.of(49, 3, 4, 5, 6, 7, 8, 9, 10, 11, 50, 51),
      startOfTranscript: 10,
    });
  });

  it('have hotwords before the text, a prefix behind the head', () => {
    const head = [50, 51];
    assert.deepEqual(buildPrompt({ head, previous: [], hotwords: [7] }, 49, textContext), {
      ...{ tokens: Int32Array.of(49, 7, 50, 51), startOfTranscript: 2 },
    });
    assert.deepEqual(buildPrompt({ head, previous: [1, 2], hotwords: [7] }, 49, textContext), {
      ...{ tokens: Int32Array.of(49, 7, 1, 2, 50, 51), startOfTranscript: 4 },
    });
    assert.deepEqual(buildPrompt({ head, previous: [1], prefix: [8, 9] }, 49, textContext), {
      ...{ tokens: Int32Array.of(49, 1, 50, 51, 8, 9), startOfTranscript: 2 },
    });
  });

  it('leave a quarter of the context to write in, however long their parts', () => {
    const long = Array.from({ length: 30 }, (_, i) => i);
    const head = [50, 51];
    for (const parts of [{ hotwords: long }, { prefix: long }]) {
      const { tokens } = buildPrompt({ head, previous: long, ...parts }, 49, textContext);
      assert.equal(tokens.length, 15);
      // The beginning of what was given, the end of what was written.
      const given = 'hotwords' in parts ? tokens.subarray(1, 10) : tokens.subarray(6);
      assert.deepEqual([...given], long.slice(0, 9));
      assert.equal(tokens[tokens.indexOf(50) - 1], 29);
    }
  });

  it('start with the initial prompt and go on with the text', () => {
    const history = new PromptHistory([1, 2], false, textContext);
    assert.deepEqual(history.previous(), [1, 2]);
    history.add([3, 4]);
    assert.deepEqual(history.previous(), [1, 2, 3, 4]);
    history.reset();
    assert.deepEqual(history.previous(), []);
    history.add([5]);
    assert.deepEqual(history.previous(), [5]);
  });

  it('carry the initial prompt where asked', () => {
    const history = new PromptHistory([1, 2], true, textContext);
    history.add([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.deepEqual(history.previous(), [1, 2, 5, 6, 7, 8, 9, 10, 11]);
    history.reset();
    assert.deepEqual(history.previous(), [1, 2]);
  });

  it('carry an initial prompt that fills all the room', () => {
    const initial = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const history = new PromptHistory(initial, true, textContext);
    history.add([10, 11]);
    assert.deepEqual(history.previous(), initial);
  });
});

describe('windowSeed', () => {
  it('differs with each of its parts and is a safe integer', () => {
    const seeds = new Set<number>();
    for (const seed of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      for (const seek of [0, 2, 3000, 8_640_000]) {
        for (const index of [0, 1, 5]) {
          const value = windowSeed(seed, seek, index);
          assert.ok(Number.isSafeInteger(value) && value >= 0);
          assert.equal(windowSeed(seed, seek, index), value);
          seeds.add(value);
        }
      }
    }
    assert.equal(seeds.size, 48);
  });
});

/** Runs the loop on windows whose tokens are given, and notes what it was asked. */
async function loopOver(
  windows: Partial<Attempt>[],
  options: Partial<SeekLoop> = {},
): Promise<{ segments: Segment[]; asked: [number, number, readonly number[]][]; done: number[] }> {
  const asked: [number, number, readonly number[]][] = [];
  const done: number[] = [];
  const loop: SeekLoop = {
    reach: ending(4000),
    clips: [[0, Infinity]],
    shortestRest: 0,
    timestampBegin: begin,
    framesPerTimestamp: 2,
    thresholds,
    conditionOnPreviousText: true,
    history: new PromptHistory([], false, 448),
    decode: (seek, size, previous) => {
      asked.push([seek, size, previous]);
      return Promise.resolve({ ...good, ...windows[asked.length - 1] });
    },
    text: (tokens) =>
      tokens.map((token) => (token === 9 ? ' ' : token < begin ? 'w' : '')).join(''),
    onPosition: (frame) => done.push(frame),
    ...options,
  };
  const segments: Segment[] = [];
  for await (const segment of seekLoop(loop)) segments.push(segment);
  return { segments, asked, done };
}

/** A recording of so many frames, whose end is found by reading up to it. */
function ending(frames: number): SeekLoop['reach'] {
  return (frame) => Promise.resolve(Math.min(frame, frames));
}

describe('seekLoop', () => {
  it('seeks to the end of the last whole segment and prompts with the text', async () => {
    const first = [at(0), 1, at(20), at(20), 2];
    const second = [at(0), 2, at(20)];
    const { segments, asked, done } = await loopOver([{ tokens: first }, { tokens: second }]);
    assert.deepEqual(asked, [
      [0, 3000, []],
      [2000, 2000, [at(0), 1, at(20)]],
    ]);
    assert.deepEqual(done, [2000, 4000]);
    assert.deepEqual(
      segments.map(({ id, seek, start, end, text }) => ({ id, seek, start, end, text })),
      [
        { id: 0, seek: 0, start: 0, end: 20, text: 'w' },
        { id: 1, seek: 2000, start: 20, end: 40, text: 'w' },
      ],
    );
  });

  it('skips silence', async () => {
    const silence = { tokens: [at(0), 1, at(3)], noSpeechProb: 0.9, avgLogProb: -1.2 };
    const { segments, asked } = await loopOver([silence, { tokens: [at(0), 1, at(5)] }]);
    assert.deepEqual(asked[1], [3000, 1000, []]);
    assert.deepEqual(
      segments.map(({ id, start, end }) => [id, start, end]),
      [[0, 30, 35]],
    );
  });

  it('empties segments without length or text, and keeps their place', async () => {
    const tokens = [at(1), 1, at(1), at(2), 9, at(3), at(3), 1, at(4)];
    const { segments, asked } = await loopOver([{ tokens }, { tokens: [at(0), 1] }]);
    assert.deepEqual(
      segments.slice(0, 3).map(({ id, text, tokens }) => [id, text, tokens.length]),
      [
        [0, '', 0],
        [1, '', 0],
        [2, 'w', 3],
      ],
    );
    assert.deepEqual(asked[1]?.[2], [at(3), 1, at(4)]);
  });

  it('does not prompt with text of high temperatures, nor where told not to', async () => {
    const tokens = [at(0), 1, at(20), at(20), 2];
    const hot = await loopOver([{ tokens, temperature: 0.6 }, {}]);
    assert.deepEqual(hot.asked[1]?.[2], []);
    const warm = await loopOver([{ tokens, temperature: 0.5 }, {}]);
    assert.equal(warm.asked[1]?.[2].length, 3);
    const off = await loopOver([{ tokens }, {}], { conditionOnPreviousText: false });
    assert.deepEqual(off.asked[1]?.[2], []);
  });

  it('goes through the clips, and no window reaches over the end of one', async () => {
    const { asked, done, segments } = await loopOver(
      [{ tokens: [at(0), 1, at(2), at(2), 2] }, {}, { tokens: [at(0), 1, at(5)] }],
      {
        clips: [
          [100, 600],
          [700, 1200],
        ],
      },
    );
    assert.deepEqual(
      asked.map(([seek, size]) => [seek, size]),
      [
        [100, 500],
        [300, 300],
        [700, 500],
      ],
    );
    assert.deepEqual(done, [300, 600, 1200]);
    assert.deepEqual([segments[0]?.start, segments.at(-1)?.end], [1, 12]);
  });

  it('ends clips at the end of the recording, and reads no further than it decodes', async () => {
    const reached: number[] = [];
    const { asked } = await loopOver([{}, {}], {
      reach: (frame) => {
        reached.push(frame);
        return ending(700)(frame);
      },
      clips: [
        [100, 500],
        [600, 800],
        [900, 1000],
      ],
    });
    assert.deepEqual(
      asked.map(([seek, size]) => [seek, size]),
      [
        [100, 400],
        [600, 100],
      ],
    );
    assert.deepEqual(reached, [500, 500, 800, 800, 1000]);
  });

  it('ends times with the recording, also where a clip ends a little before it', async () => {
    const late = { tokens: [at(0), 1, at(4.5), at(5), 2, at(6)] };
    const ends = async (frames: number, clip: Clip): Promise<number[][]> => {
      const { segments } = await loopOver([late], { reach: ending(frames), clips: [clip] });
      return segments.map(({ start, end }) => [start, end]);
    };
    const inside = [
      [1, 5.5],
      [6, 6.2],
    ];
    assert.deepEqual(await ends(620, [100, Infinity]), inside);
    assert.deepEqual(await ends(620, [100, 600]), inside);
    // The reference's times may lie behind a clip's end.
    assert.deepEqual(await ends(4000, [100, 600]), [
      [1, 5.5],
      [6, 7],
    ]);
  });

  it('decodes nothing of nothing', async () => {
    assert.deepEqual((await loopOver([], { reach: ending(0) })).asked, []);
  });
});
