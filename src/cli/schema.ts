/** `voxpod schema`: the JSON Schema of a job. */
import { Argument, type Command } from 'commander';
import {
  speechInput,
  speechOutput,
  transcriptionInput,
  transcriptionOutput,
  type JsonSchema,
} from '../jobs/schema.js';

const KINDS = ['transcription', 'speech'] as const;
type Kind = (typeof KINDS)[number];

export function register(program: Command): void {
  program
    .command('schema')
    .description("print the JSON Schema of a job's input; without a kind, of either's")
    .addArgument(new Argument('[kind]', 'of job').choices(KINDS))
    .option('--output', "of the job's output instead", false)
    .action((kind: Kind | undefined, { output }: { output: boolean }) => {
      process.stdout.write(`${JSON.stringify(schemaOf(kind, output), null, 2)}\n`);
    });
}

function schemaOf(kind: Kind | undefined, output: boolean): JsonSchema {
  const transcription = output ? transcriptionOutput : transcriptionInput;
  const speech = output ? speechOutput : speechInput;
  if (kind !== undefined) return kind === 'speech' ? speech : transcription;
  return { ...dialect(transcription), anyOf: [transcription, speech].map(withoutDialect) };
}

/** The dialect is said once, at the root. */
function dialect({ $schema }: JsonSchema): JsonSchema {
  return $schema === undefined ? {} : { $schema };
}

function withoutDialect({ $schema: _dialect, ...schema }: JsonSchema): JsonSchema {
  return schema;
}
