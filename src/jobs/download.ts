/**
 * Fetches a URL that came in a job, which is to say from a stranger: public addresses only, checked
 * again at every redirect and pinned for the connection.
 */
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { DownloadError } from '../../lib/errors.js';
import { resolveHost, type ResolvedAddress } from './address_guard.js';
import { transfer, type Received, type TransferLimits } from './transfer.js';

const MAX_REDIRECTS = 5;

/**
 * @throws DownloadError URL_FORBIDDEN, DOWNLOAD_FAILED, DOWNLOAD_TOO_LARGE, DOWNLOAD_TIMEOUT; the
 * signal's reason when it aborts.
 */
export async function download(
  url: string,
  limits: TransferLimits,
  options: { allowPrivate: boolean; signal: AbortSignal },
): Promise<Received> {
  const name = shown(url);
  return transfer(name, limits, options.signal, async (signal) => {
    const response = await follow(url, options.allowPrivate, signal);
    const encoding = response.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') {
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${name} was sent with the content encoding ${encoding}, which was not asked for`,
      );
    }
    return { bytes: Number(response.headers['content-length'] ?? NaN), body: response };
  });
}

/** The first answer that is no redirect. */
async function follow(
  start: string,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  let url = checkUrl(start);
  for (let redirects = 0; ; redirects += 1) {
    const addresses = await resolveHost(url.hostname, allowPrivate);
    const response = await get(url, addresses, signal);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) {
      if (status === 200) return response;
      response.destroy();
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${shown(start)} answered with HTTP ${status}. Check the link and whether it has expired`,
      );
    }
    response.destroy();
    if (redirects >= MAX_REDIRECTS) {
      throw new DownloadError(
        'DOWNLOAD_FAILED',
        `${shown(start)} was redirected more than ${MAX_REDIRECTS} times`,
      );
    }
    url = checkUrl(location, url);
  }
}

function checkUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) {
    throw new DownloadError(
      'URL_FORBIDDEN',
      `${JSON.stringify(text.slice(0, 100))} is not a URL. Give a whole http or https URL`,
    );
  }
  const url = new URL(text, base);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DownloadError(
      'URL_FORBIDDEN',
      `URLs of the kind ${url.protocol}// are not fetched. Give an http or https URL`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new DownloadError(
      'URL_FORBIDDEN',
      'URLs with a user name or password are not fetched. Give a presigned URL',
    );
  }
  return url;
}

/** One request, to the addresses that were checked and no others. */
function get(
  url: URL,
  addresses: ResolvedAddress[],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const pinned: LookupFunction = (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all) callback(null, addresses);
    else callback(null, first?.address ?? '', first?.family);
  };
  // An agent of its own: a pooled connection would have been checked for somebody else.
  const secure = url.protocol === 'https:';
  const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  return new Promise((resolve, reject) => {
    const request = (secure ? requestHttps : requestHttp)(url, {
      agent,
      lookup: pinned,
      signal,
      headers: { 'User-Agent': 'voxpod', Accept: '*/*', 'Accept-Encoding': 'identity' },
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

/** Without the query, which in a presigned URL is a secret. */
function shown(url: string): string {
  if (!URL.canParse(url)) return 'The URL';
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`.slice(0, 200);
}
