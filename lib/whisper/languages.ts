/** The languages of Whisper: code of the token, English name, further names. */
import { ArgumentError } from '../errors.js';
import { didYouMean, nearest } from '../validate.js';

/**
 * In the order of the vocabulary's language tokens. The first 99 are in every multilingual model,
 * "yue" came with large-v3.
 */
const table = `
en english; zh chinese mandarin; de german; es spanish castilian; ru russian; ko korean; fr french;
ja japanese; pt portuguese; tr turkish; pl polish; ca catalan valencian; nl dutch flemish; ar arabic;
sv swedish; it italian; id indonesian; hi hindi; fi finnish; vi vietnamese; he hebrew; uk ukrainian;
el greek; ms malay; cs czech; ro romanian moldavian moldovan; da danish; hu hungarian; ta tamil;
no norwegian; th thai; ur urdu; hr croatian; bg bulgarian; lt lithuanian; la latin; mi maori;
ml malayalam; cy welsh; sk slovak; te telugu; fa persian; lv latvian; bn bengali; sr serbian;
az azerbaijani; sl slovenian; kn kannada; et estonian; mk macedonian; br breton; eu basque;
is icelandic; hy armenian; ne nepali; mn mongolian; bs bosnian; kk kazakh; sq albanian; sw swahili;
gl galician; mr marathi; pa punjabi panjabi; si sinhala sinhalese; km khmer; sn shona; yo yoruba;
so somali; af afrikaans; oc occitan; ka georgian; be belarusian; tg tajik; sd sindhi; gu gujarati;
am amharic; yi yiddish; lo lao; uz uzbek; fo faroese; ht haitian_creole haitian; ps pashto pushto;
tk turkmen; nn nynorsk; mt maltese; sa sanskrit; lb luxembourgish letzeburgesch; my myanmar burmese;
bo tibetan; tl tagalog; mg malagasy; as assamese; tt tatar; haw hawaiian; ln lingala; ha hausa;
ba bashkir; jw javanese; su sundanese; yue cantonese`;

const entries = table
  .split(';')
  .map((entry) => entry.trim().split(/\s+/))
  .map(([code = '', ...names]) => ({ code, names: names.map((name) => name.replace('_', ' ')) }));

/** Language codes, and the English name of each: "de" and "german". */
export const languages: ReadonlyMap<string, string> = new Map(
  entries.map(({ code, names }) => [code, names[0] ?? code]),
);

const codes: ReadonlyMap<string, string> = new Map([
  ...entries.flatMap(({ code, names }) => names.map((name): [string, string] => [name, code])),
  // ISO 639 calls these jv and he (once iw); Whisper's own tokens say jw and he.
  ['jv', 'jw'],
  ['iw', 'he'],
]);

/**
 * The code of a language given by code or English name, in any case.
 * @throws ArgumentError LANGUAGE_UNKNOWN
 */
export function languageCode(language: string): string {
  const wanted = language.trim().toLowerCase();
  if (languages.has(wanted)) return wanted;
  const code = codes.get(wanted);
  if (code !== undefined) return code;
  const near = nearest(wanted, [...languages.keys(), ...codes.keys()]);
  throw new ArgumentError(
    'LANGUAGE_UNKNOWN',
    `Whisper knows no language ${JSON.stringify(language.slice(0, 40))}.${didYouMean(near)} ` +
      'Give a code such as "en" or an English name such as "german", or none to detect it.',
  );
}
