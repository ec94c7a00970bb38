// An identity provider for the end-to-end tests: panva's oidc-provider, which shares no
// code and no misunderstanding with Doorward, behind its own development sign-in pages.
//
//   node server.mjs '{"port": 9400, "clients": [ … ]}'
//
// The argument is one JSON object:
//
//   port         where to listen on 127.0.0.1
//   issuer       http://127.0.0.1:PORT unless given: then something that ends TLS is before it
//   clients      client metadata as in OpenID Connect Dynamic Client Registration
//   reach        by origin that a client has registered: where it is on this machine, as if
//                something that ends TLS were between (it takes https only for some addresses)
//   ttl          seconds by kind of token, over the defaults below
//   idTokenClaims  true puts all claims into the ID token; otherwise, as the standard has
//                it, email and groups are found at the userinfo endpoint only
//   people       by login name: claims over the defaults below; with user_code, this is the
//                person's secret of CIBA, and asked for; null makes them unknown
//   resources    by resource indicator: what access tokens can be for. "scope" (separated by
//                spaces), "format" (jwt unless "opaque"), "ttl" in seconds, and "owner", the
//                client that may trade what it is sent
//
// It prints one JSON object per line: {"event":"ready"} once it listens, then every grant,
// logout and error. Whom a client asks to be authenticated by CIBA is told as
// {"event":"push","push":1,"login":"alice","binding_message":"…"}; what they do on their phone is
// said on its standard input, a line each: {"push":1,"answer":"approve"}, or "deny".
// It ends when its standard input does, so that it never outlives a test.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Provider, errors } from 'oidc-provider';
import { actor, registerTokenExchange } from './exchange.mjs';

const options = JSON.parse(process.argv[2]);
const issuer = options.issuer ?? `http://127.0.0.1:${options.port}`;

function say(event, details = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

// By way of PEM: an export straight from a KeyObject that generateKeyPairSync returned waits for
// ever if the garbage collector comes just then (Node.js 20; with --gc-interval=37 within a hundred).
function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { ...createPrivateKey(privateKey).export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: `key-${Date.now()}` };
}

function claimsOf(login) {
  const { user_code: _, ...claims } = options.people?.[login] ?? {};
  return {
    sub: login,
    name: `${login[0].toUpperCase()}${login.slice(1)} Example`,
    preferred_username: login,
    email: `${login}@example.com`,
    email_verified: true,
    groups: ['staff', 'everyone'],
    ...claims,
  };
}

// The requests of CIBA that somebody's phone shows.
const pushes = [];

const ciba = {
  enabled: true,
  deliveryModes: ['poll', 'ping'],
  processLoginHint: async (_ctx, login) => (options.people?.[login] === null ? undefined : login),
  // Whoever the token names is believed: what is tested is that it arrives.
  processLoginHintToken: async (_ctx, token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub,
  validateRequestContext: async () => {},
  verifyUserCode: async (_ctx, account, given) => {
    const wanted = options.people?.[account.accountId]?.user_code;
    if (wanted && given === undefined) throw new errors.MissingUserCode();
    if (wanted && given !== wanted) throw new errors.InvalidUserCode();
  },
  triggerAuthenticationDevice: async (ctx, request, account, client) => {
    const push = pushes.push(request);
    say('push', {
      push, login: account.accountId, client: client.clientId, binding_message: ctx.oidc.params.binding_message,
    });
  },
};

// Where an outside address is to be found.
function within(url) {
  const [origin] = Object.keys(options.reach ?? {}).filter((o) => url.startsWith(`${o}/`));
  return origin ? options.reach[origin] + url.slice(origin.length) : url;
}

async function answer({ push, answer: what }) {
  const request = pushes[push - 1];
  if (what === 'deny') {
    await provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
    return;
  }
  const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId });
  grant.addOIDCScope(request.scope);
  await grant.save();
  await provider.backchannelResult(request, grant, { authTime: Math.floor(Date.now() / 1000) });
}

const resources = options.resources ?? {};

function resourceServer(indicator) {
  const resource = resources[indicator];
  if (!resource) throw new errors.InvalidTarget();
  const opaque = resource.format === 'opaque';
  return {
    audience: indicator,
    scope: resource.scope,
    accessTokenTTL: resource.ttl,
    accessTokenFormat: opaque ? 'opaque' : 'jwt',
    ...(!opaque && { jwt: { sign: { alg: 'RS256' } } }),
  };
}

const jwks = { keys: [signingKey()] };

const provider = new Provider(issuer, {
  clients: options.clients,
  clientAuthMethods: [
    'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
  ],
  jwks,
  cookies: { keys: ['only for tests: nothing here is a secret'] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: !options.idTokenClaims,
  findAccount: (_ctx, login) => ({ accountId: login, claims: () => claimsOf(login) }),
  features: {
    devInteractions: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, indicator) => resourceServer(indicator),
    },
    backchannelLogout: { enabled: true },
    deviceFlow: { enabled: true },
    ciba,
  },
  responseTypes: [
    'code', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token',
  ],
  extraTokenClaims: actor,
  // Without its guard against addresses of this machine, where the gateway is.
  fetch: (url, { dispatcher: _, ...init }) => fetch(within(url), init),
  pkce: { required: () => true },
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  // Each refresh token works once; a second use revokes the whole grant.
  rotateRefreshToken: true,
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, IdToken: 3600, RefreshToken: 86400,
    Interaction: 3600, Session: 86400, Grant: 86400, ...options.ttl,
  },
  enabledJWA: {
    clientAuthSigningAlgValues: ['HS256', 'RS256', 'ES256'],
  },
});

provider.proxy = options.issuer !== undefined;
registerTokenExchange(provider, { jwks, resources, resourceServer });
provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'introspection') say('introspection', { client: ctx.oidc.client?.clientId, active: ctx.body?.active });
});

provider.on('grant.success', (ctx) => say('grant', {
  grant_type: ctx.oidc.params.grant_type,
  client: ctx.oidc.client.clientId,
  auth: ctx.oidc.client.clientAuthMethod,
  target: [ctx.oidc.params.audience, ctx.oidc.params.resource].flat().filter(Boolean),
}));
provider.on('grant.error', (ctx, err) => say('grant_error', {
  grant_type: ctx.oidc?.params?.grant_type, error: err.error, detail: err.error_detail ?? err.error_description,
}));
provider.on('authorization.error', (_ctx, err) => say('authorization_error', {
  error: err.error, detail: err.error_detail ?? err.error_description,
}));
provider.on('device_authorization.error', (_ctx, err) => say('device_authorization_error', {
  error: err.error, detail: err.error_detail ?? err.error_description,
}));
provider.on('backchannel_authentication.error', (_ctx, err) => say('backchannel_authentication_error', {
  error: err.error, detail: err.error_detail ?? err.error_description,
}));
provider.on('grant.revoked', (_ctx, id) => say('grant_revoked', { grant: id }));
provider.on('revocation.error', (_ctx, err) => say('revocation_error', { error: err.error }));
provider.on('access_token.destroyed', () => say('access_token_destroyed'));
provider.on('refresh_token.destroyed', () => say('refresh_token_destroyed'));
provider.on('end_session.success', () => say('end_session'));
provider.on('end_session.error', (_ctx, err) => say('end_session_error', { error: err.error, detail: err.error_description }));
provider.on('server_error', (_ctx, err) => say('server_error', {
  error: err instanceof errors.OIDCProviderError ? err.error : String(err?.stack ?? err),
}));

const server = provider.listen(options.port, '127.0.0.1', () => say('ready', { issuer }));

createInterface({ input: process.stdin }).on('line', (line) => {
  answer(JSON.parse(line)).then(() => say('answered'), (err) => say('server_error', { error: String(err?.stack ?? err) }));
}).on('close', () => {
  server.closeAllConnections();
  server.close(() => process.exit(0));
});
