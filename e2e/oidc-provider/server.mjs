// An identity provider for the end-to-end tests: panva's oidc-provider, which shares no
// code and no misunderstanding with Doorward, behind its own development sign-in pages.
//
//   node server.mjs '{"port": 9400, "clients": [ … ]}'
//
// The argument is one JSON object:
//
//   port         where to listen on 127.0.0.1; the issuer is http://127.0.0.1:PORT
//   clients      client metadata as in OpenID Connect Dynamic Client Registration
//   ttl          seconds by kind of token, over the defaults below
//   idTokenClaims  true puts all claims into the ID token; otherwise, as the standard has
//                it, email and groups are found at the userinfo endpoint only
//   people       by login name: claims over the defaults below
//
// It prints one JSON object per line: {"event":"ready"} once it listens, then every grant,
// logout and error. It ends when its standard input does, so that it never outlives a test.

import { generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Provider, errors } from 'oidc-provider';

const options = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${options.port}`;

function say(event, details = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: `key-${Date.now()}` };
}

function claimsOf(login) {
  return {
    sub: login,
    name: `${login[0].toUpperCase()}${login.slice(1)} Example`,
    preferred_username: login,
    email: `${login}@example.com`,
    email_verified: true,
    groups: ['staff', 'everyone'],
    ...options.people?.[login],
  };
}

const provider = new Provider(issuer, {
  clients: options.clients,
  clientAuthMethods: [
    'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
  ],
  jwks: { keys: [signingKey()] },
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
    backchannelLogout: { enabled: true },
  },
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

provider.on('grant.success', (ctx) => say('grant', {
  grant_type: ctx.oidc.params.grant_type,
  client: ctx.oidc.client.clientId,
  auth: ctx.oidc.client.clientAuthMethod,
}));
provider.on('grant.error', (ctx, err) => say('grant_error', {
  grant_type: ctx.oidc?.params?.grant_type, error: err.error, detail: err.error_detail ?? err.error_description,
}));
provider.on('authorization.error', (_ctx, err) => say('authorization_error', {
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

createInterface({ input: process.stdin }).on('close', () => {
  server.closeAllConnections();
  server.close(() => process.exit(0));
});
