/** What Node's sockets, resolver and undici call the troubles of a network. */

/** No connection came about; it came too late; it broke. */
export type NetworkTrouble = 'unreachable' | 'timeout' | 'broken';

const TROUBLES: Readonly<Record<string, NetworkTrouble>> = {
  ECONNREFUSED: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  EAI_FAIL: 'unreachable',
  EHOSTDOWN: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  ENETUNREACH: 'unreachable',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  ECONNABORTED: 'broken',
  ECONNRESET: 'broken',
  EPIPE: 'broken',
  ERR_STREAM_PREMATURE_CLOSE: 'broken',
  UND_ERR_SOCKET: 'broken',
};

/** Undefined for a code that says nothing of the network. */
export function networkTrouble(code: string | undefined): NetworkTrouble | undefined {
  return code !== undefined && Object.hasOwn(TROUBLES, code) ? TROUBLES[code] : undefined;
}
