// The tables of bench/whisper.mjs, for a terminal and as Markdown.

const COLUMNS = ['engine', 'load s', 'seconds', 'x real time', 'WER', 'peak MB', 'time / voxpod'];

/** Header and one line of cells for each engine that ran. */
function cells(rows, speechSeconds) {
  const own = rows.find(({ engine, skipped }) => engine === 'voxpod' && !skipped);
  const lines = rows
    .filter(({ skipped }) => !skipped)
    .map((row) => [
      row.engine,
      row.loadSeconds.toFixed(1),
      row.seconds.toFixed(row.seconds < 10 ? 2 : 1),
      (speechSeconds / row.seconds).toFixed(1),
      row.wordErrorRate.toFixed(4),
      (row.peakBytes / 1e6).toFixed(0),
      own ? (row.seconds / own.seconds).toFixed(2) : '-',
    ]);
  return [COLUMNS, ...lines];
}

/** Cells padded to the widths of their columns, of which all but the first are numbers. */
function aligned(lines) {
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const pad = (cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]));
  return lines.map((line) => line.map(pad));
}

const skippedOf = (rows) =>
  rows.filter(({ skipped }) => skipped).map(({ engine, skipped }) => `${engine}: ${skipped}`);

/** One length's table as text. */
export function textTable({ speech, rows }) {
  const skipped = skippedOf(rows).map((line) => `skipped: ${line}`);
  const lines = aligned(cells(rows, speech.seconds)).map((line) => line.join('  '));
  return [`${describe(speech)}\n`, ...lines, ...skipped].join('\n');
}

function describe({ seconds, clips, distinct }) {
  const repeated = clips > distinct ? `, ${distinct} of them distinct` : '';
  return `${seconds.toFixed(1)} s of English, ${clips} clip${clips === 1 ? '' : 's'}${repeated}`;
}

/** All of a run: `summary` is what --json writes. */
export function markdown(summary) {
  const { date, cpu, model, threads, runs, order, command, packages, notes, tables } = summary;
  const parts = [
    `# Whisper ${model}, ${date}`,
    `\`${command}\`: ${runs} run${runs === 1 ? '' : 's'} of each engine, ${order}; the fastest counts. ${threads} threads; language and task given.`,
    `CPU: ${cpu.model}, ${cpu.cores} cores, with ${cpu.features.join(', ')}.`,
    `Versions: ${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
  ];
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'));
  for (const { speech, rows } of tables) {
    const [header, ...body] = aligned(cells(rows, speech.seconds));
    const rule = header.map((cell, i) => cell.replace(/./g, '-').replace(/-$/, i > 0 ? ':' : '-'));
    const lines = [header, rule, ...body].map((line) => `| ${line.join(' | ')} |`);
    parts.push(`## ${describe(speech)}`, lines.join('\n'));
    const skipped = skippedOf(rows);
    if (skipped.length > 0) parts.push('Skipped:', skipped.map((line) => `- ${line}`).join('\n'));
  }
  return parts.join('\n\n') + '\n';
}
