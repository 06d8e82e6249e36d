/** What an S3 endpoint's address says: the region to sign for, and how buckets are addressed there. */

export interface BucketEndpoint {
  /** Without a bucket in it; undefined for Amazon S3's own endpoint of the region. */
  url: string | undefined;
  region: string;
  /** True where the bucket stands in the path, false where it is a part of the host's name. */
  pathStyle: boolean;
}

/** Hosts of well-known services. A bucket may stand in front, as their consoles show it. */
const HOSTS: readonly { pattern: RegExp; region: string; aws?: true }[] = [
  {
    pattern:
      /^(?:(?<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:[.-](?<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?$/,
    // The global endpoint is that of us-east-1.
    region: 'us-east-1',
    aws: true,
  },
  {
    pattern: /^(?:(?<bucket>.+)\.)?s3\.(?<region>[a-z]+(?:-[a-z]+)*-\d+)\.backblazeb2\.com$/,
    region: 'us-east-1',
  },
  {
    // The account comes first, and for some a jurisdiction.
    pattern: /^(?:(?<bucket>.+)\.)?[0-9a-f]{32}(?:\.[a-z]+)?\.r2\.cloudflarestorage\.com$/,
    region: 'auto',
  },
  {
    pattern: /^(?:(?<bucket>.+)\.)?(?<region>[a-z]{3}\d)\.digitaloceanspaces\.com$/,
    region: 'us-east-1',
  },
];

/** What most servers that know no regions sign with. */
const DEFAULT_REGION = 'us-east-1';

/**
 * Reads an endpoint's URL; a `region` that is given counts before the one in the host's name.
 * Returns what is wrong with it as text.
 */
export function readEndpoint(
  text: string | undefined,
  bucket: string,
  region?: string,
): BucketEndpoint | string {
  if (text === undefined) {
    return { url: undefined, region: region ?? DEFAULT_REGION, pathStyle: false };
  }
  if (!URL.canParse(text) || !/^https?:\/\//i.test(text)) {
    return 'is no URL: write it whole, as in https://s3.us-west-004.backblazeb2.com';
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    return 'holds a user name or password: give the keys in their own place';
  }
  const known = HOSTS.map((entry) => ({ entry, match: entry.pattern.exec(url.hostname) })).find(
    ({ match }) => match !== null,
  );
  const groups = known?.match?.groups;
  // The SDK puts the bucket into the address itself; twice would be another bucket.
  if (groups?.['bucket'] === bucket) url.hostname = url.hostname.slice(bucket.length + 1);
  let path = url.pathname.replace(/\/+$/, '');
  if (path === `/${bucket}`) path = '';
  return {
    url: url.origin + path,
    region: region ?? groups?.['region'] ?? known?.entry.region ?? DEFAULT_REGION,
    pathStyle: known?.entry.aws !== true,
  };
}
