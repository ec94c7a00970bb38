// The grant of RFC 8693, registered as an application of oidc-provider registers one of its own.

import { createPublicKey, verify } from 'node:crypto';
import { errors } from 'oidc-provider';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

// Whose tokens have an act claim, by the token that is about to be saved.
const actors = new WeakMap();

// To be used as extraTokenClaims.
export function actor(_ctx, token) {
  return actors.has(token) ? { act: actors.get(token) } : undefined;
}

export function registerTokenExchange(provider, { jwks, resources, resourceServer }) {
  // Access tokens for a resource are JWTs that nobody stores; all others are looked up.
  async function read(value, what) {
    const token = await provider.AccessToken.find(value) ?? await provider.ClientCredentials.find(value);
    if (token?.isValid) {
      return { sub: token.accountId ?? token.clientId, client: token.clientId, aud: token.aud, act: token.extra?.act };
    }
    const [head, body, signature] = value.split('.');
    if (token || !signature) throw new errors.InvalidRequest(`${what} is not active`);
    const { kid } = JSON.parse(Buffer.from(head, 'base64url'));
    const { kty, n, e } = jwks.keys.find((key) => key.kid === kid) ?? {};
    if (!n || !verify('RSA-SHA256', `${head}.${body}`, createPublicKey({ key: { kty, n, e }, format: 'jwk' }), Buffer.from(signature, 'base64url'))) {
      throw new errors.InvalidRequest(`${what} is invalid`);
    }
    const claims = JSON.parse(Buffer.from(body, 'base64url'));
    if (claims.exp <= Date.now() / 1000) throw new errors.InvalidRequest(`${what} is expired`);
    return { sub: claims.sub, client: claims.client_id, aud: claims.aud, act: claims.act };
  }

  // One target, by either name.
  function target({ audience, resource }) {
    const [wanted, ...more] = [audience, resource].flat().filter(Boolean);
    if (!wanted || more.length > 0 || !resources[wanted]) throw new errors.InvalidTarget('no such target');
    return [wanted, resources[wanted]];
  }

  async function exchange(ctx) {
    const { client, params } = ctx.oidc;
    for (const name of ['subject_token', 'subject_token_type']) {
      if (!params[name]) throw new errors.InvalidRequest(`missing required parameter '${name}'`);
    }
    for (const name of ['subject_token_type', 'actor_token_type', 'requested_token_type']) {
      if (params[name] && params[name] !== ACCESS_TOKEN) throw new errors.InvalidRequest(`unsupported ${name}`);
    }
    if (Boolean(params.actor_token) !== Boolean(params.actor_token_type)) {
      throw new errors.InvalidRequest('actor_token and actor_token_type go together');
    }
    const [audience, resource] = target(params);
    const who = await read(params.subject_token, 'subject_token');
    // Only what was given to this client, or is for it, is its to trade.
    if (who.client !== client.clientId && resources[who.aud]?.owner !== client.clientId) {
      throw new errors.InvalidRequest('the subject token is not for this client');
    }
    const by = params.actor_token && await read(params.actor_token, 'actor_token');
    const wanted = (params.scope ?? '').split(' ').filter(Boolean);
    const known = resource.scope.split(' ');
    const unknown = wanted.find((scope) => !known.includes(scope));
    if (unknown) throw new errors.InvalidScope('scope is not available', unknown);

    const token = new provider.AccessToken({
      accountId: who.sub, client, gty: 'token_exchange', scope: wanted.join(' ') || undefined,
    });
    token.resourceServer = new provider.ResourceServer(audience, resourceServer(audience));
    if (by) actors.set(token, { sub: by.sub, ...(who.act && { act: who.act }) });
    const value = await token.save();
    ctx.body = {
      access_token: value, issued_token_type: ACCESS_TOKEN, token_type: 'Bearer',
      expires_in: token.expiration, scope: token.scope || undefined,
    };
  }

  const names = [
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'scope', 'audience', 'resource',
  ];
  provider.registerGrantType(GRANT, exchange, names, ['audience', 'resource']);
}
