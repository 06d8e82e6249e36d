/** Addresses of the web and of mail, read out sign by sign. */
import { pattern, type Rule } from './rule.js';

const SIGNS: Readonly<Record<string, readonly [en: string, zh: string]>> = {
  '.': ['dot', '点'],
  '/': ['slash', '斜杠'],
  '-': ['dash', '杠'],
  _: ['underscore', '下划线'],
  '@': ['at', '艾特'],
  ':': ['colon', '冒号'],
  '?': ['question mark', '问号'],
  '=': ['equals', '等于'],
  '&': ['and', '和'],
  '#': ['hash', '井号'],
  '+': ['plus', '加'],
  '%': ['percent', '百分号'],
  '~': ['tilde', '波浪号'],
};

/** Endings that no sentence without a space after its full stop is likely to have. */
const TOP_LEVELS = 'com|org|net|edu|gov|io|ai|cn|dev|app|info|uk|de|fr|jp|eu|ca|au|ru|in|co';
const HOST = String.raw`(?:[A-Za-z0-9-]{1,63}\.){1,8}`;
/** What a link goes on with, up to a sign that ends the sentence. */
const PATH = String.raw`[/?#][A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]*`;

function read(address: string, chinese: boolean): string {
  const bare = address.replace(/^[a-z]+:\/\//i, '').replace(/\/$/, '');
  return bare
    .replace(/^www\b/i, 'w w w')
    .replace(/[./\-_@:?=&#+%~]/g, (sign) => ` ${SIGNS[sign]?.[chinese ? 1 : 0] ?? ''} `)
    .replace(/ {2,}/g, ' ')
    .trim();
}

/** The address, and behind it what ends the sentence. */
function speak(whole: string, chinese: boolean): string {
  const end = /[.,;:!?'")]*$/.exec(whole)?.index ?? whole.length;
  return read(whole.slice(0, end), chinese) + whole.slice(end);
}

export const addressRules: readonly Rule[] = [
  String.raw`(?<![\w.+-])[\w.+-]{1,64}@${HOST}[A-Za-z]{2,24}(?![\w-])`,
  String.raw`(?<![A-Za-z])(?:https?|ftp):\/\/[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]+`,
  String.raw`(?<![\w@.-])www\.${HOST}[A-Za-z]{2,24}(?:${PATH})?`,
  String.raw`(?<![\w@.-])${HOST}(?:${TOP_LEVELS})(?![\w-]|\.\w)(?:${PATH})?`,
].map((source) => ({
  pattern: pattern(source),
  en: (_groups, whole) => speak(whole, false),
  zh: (_groups, whole) => speak(whole, true),
}));
