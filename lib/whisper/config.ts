/** What a model's folder says about its use, beyond the weights that the addon reads. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, messageOf } from '../errors.js';
import type { WhisperTokenizer } from '../text/tokenizer.js';

/** @throws ModelError MODEL_NOT_FOUND where `folder` is no folder. */
export async function checkFolder(folder: string): Promise<void> {
  let isFolder = false;
  let cause: unknown;
  try {
    isFolder = (await stat(folder)).isDirectory();
  } catch (error) {
    cause = error;
  }
  if (isFolder) return;
  throw new ModelError(
    'MODEL_NOT_FOUND',
    `There is no model folder at ${folder}. Give the folder of a Whisper model in Hugging Face or CTranslate2 layout.`,
    { cause },
  );
}

/** `is_multilingual` of Hugging Face's generation_config.json; undefined where it does not say. */
async function statedMultilingual(folder: string): Promise<boolean | undefined> {
  const file = join(folder, 'generation_config.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    // CTranslate2 folders have none.
    return undefined;
  }
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && 'is_multilingual' in json) {
      return json.is_multilingual === true;
    }
    return undefined;
  } catch (error) {
    throw new ModelError('MODEL_INVALID', `${file} is not valid JSON (${messageOf(error)}).`, {
      cause: error,
    });
  }
}

/** End of text in GPT-2's own vocabulary, which the English-only models kept. */
const gpt2EndOfText = 50256;

/** Whether the model takes language and task tokens. */
export async function isMultilingual(
  folder: string,
  tokenizer: WhisperTokenizer,
): Promise<boolean> {
  // The tokenizer alone cannot tell: those of English-only models list the language tokens too.
  return (await statedMultilingual(folder)) ?? tokenizer.special.endOfText !== gpt2EndOfText;
}
