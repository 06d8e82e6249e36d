/**
 * Which addresses a job may make this worker connect to: public ones only. A worker stands inside a
 * data centre, where private and link-local addresses are other people's machines and the cloud's
 * metadata service.
 */
import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { DownloadError } from '../../lib/errors.js';

export interface ResolvedAddress {
  address: string;
  family: 4 | 6;
}

/** Global unicast (RFC 4291): what is outside of it is no address of the public internet. */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::');

export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // Turns v4-mapped v6 into v4. Any range with a name (private, loopback, NAT64, ...) is refused.
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST, 3);
}

/**
 * All addresses of a URL's host, each of them checked: a host with one private address is refused.
 * @throws DownloadError URL_FORBIDDEN, DOWNLOAD_FAILED where there is no such host.
 */
export async function resolveHost(
  hostname: string,
  allowPrivate: boolean,
): Promise<ResolvedAddress[]> {
  // URL writes IPv6 in brackets, and has already turned 0x7f.1 and the like into 127.0.0.1.
  const host = hostname.replace(/^\[|\]$/g, '');
  const literal = isIP(host);
  let found: { address: string; family: number }[];
  if (literal !== 0) {
    found = [{ address: host, family: literal }];
  } else {
    try {
      found = await lookup(host, { all: true });
    } catch (cause) {
      throw new DownloadError('DOWNLOAD_FAILED', `The host ${host} was not found`, { cause });
    }
  }
  if (!allowPrivate && !found.every(({ address }) => isPublicAddress(address))) {
    throw new DownloadError(
      'URL_FORBIDDEN',
      `The host ${host} has a private or reserved address, which no job may reach. Give a public one; for development set VOXPOD_ALLOW_PRIVATE_URLS=1 on the worker`,
    );
  }
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
}

/**
 * For clients that connect by themselves: each connection is made to addresses that were checked
 * for it. Literal addresses are not looked up, so `resolveHost` has to see the host first.
 */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  resolveHost(hostname, false).then(
    (addresses) => {
      const [first] = addresses;
      if (options.all) callback(null, addresses);
      else callback(null, first?.address ?? '', first?.family);
    },
    (error: unknown) => callback(error as NodeJS.ErrnoException, ''),
  );
};
