/**
 * The session: OIDC authorization code with PKCE against the configured issuer, by `oauth4webapi`. Tokens live in this
 * module's memory and nowhere else; sessionStorage keeps only what must survive the redirect (verifier, state, the
 * place on the page) and the fact that this tab has signed in. The page never decides what an access token means.
 */
import * as oauth from "./vendor/oauth4webapi.js";
import { Problem } from "./problems.js";

const ATTEMPT_KEY = "tether.sign-in";
const PLACE_KEY = "tether.place";
const SIGNED_IN_KEY = "tether.signed-in";
/** A token refused sooner than this after sign-in is a wrong configuration; signing in again would loop. */
const LOOP_GUARD_MS = 10_000;
/** Renewed this long before it ends. */
const EXPIRY_MARGIN_MS = 30_000;

/**
 * @typedef {object} Tokens
 * @property {string} access
 * @property {string | null} refresh
 * @property {string | null} id
 * @property {number} expiresAt milliseconds; Infinity when the issuer does not say
 * @property {number} receivedAt
 */

/** @typedef {ReturnType<typeof createSession>} SignInSession */

/**
 * @param {PageConfig} config
 * @param {() => unknown} currentPlace what to restore after the redirect
 */
export function createSession(config, currentPlace) {
  /** @type {Tokens | null} */
  let tokens = null;
  /** @type {Promise<oauth.AuthorizationServer> | null} */
  let discovery = null;
  /** @type {Promise<string> | null} */
  let renewal = null;

  const client = { client_id: config.client_id, [oauth.clockTolerance]: 60 };
  const insecure = { [oauth.allowInsecureRequests]: config.allow_insecure_issuer };
  const redirectUri = new URL("/", location.href).href;

  /** The issuer's metadata; a failed request is tried again by the next caller. */
  function issuer() {
    discovery ??= (async () => {
      const url = new URL(config.issuer);
      const answer = await oauth.discoveryRequest(url, { algorithm: "oidc", ...insecure });
      return oauth.processDiscoveryResponse(url, answer);
    })().catch((error) => {
      discovery = null;
      throw error;
    });
    return discovery;
  }

  /** @param {oauth.TokenEndpointResponse} answer */
  function keep(answer) {
    tokens = {
      access: answer.access_token,
      refresh: answer.refresh_token ?? tokens?.refresh ?? null,
      id: answer.id_token ?? tokens?.id ?? null,
      expiresAt: answer.expires_in ? Date.now() + answer.expires_in * 1000 : Infinity,
      receivedAt: Date.now(),
    };
    sessionStorage.setItem(SIGNED_IN_KEY, "yes");
    return tokens.access;
  }

  /** Leaves for the issuer's sign-in page; comes back to `resume`. */
  async function start() {
    const server = await issuer();
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    sessionStorage.setItem(ATTEMPT_KEY, JSON.stringify({ verifier, state }));
    sessionStorage.setItem(PLACE_KEY, JSON.stringify(currentPlace()));
    const url = new URL(/** @type {string} */ (server.authorization_endpoint));
    url.search = new URLSearchParams({
      ...Object.fromEntries(url.searchParams),
      response_type: "code",
      client_id: config.client_id,
      redirect_uri: redirectUri,
      scope: config.scope,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    }).toString();
    location.assign(url);
  }

  /**
   * Answers the issuer's redirect, if this page load is one.
   * @returns {Promise<"signed_in" | "signed_out">} rejects when the sign-in failed
   */
  async function resume() {
    const here = new URL(location.href);
    if (!here.searchParams.has("state")) {
      if (!sessionStorage.getItem(SIGNED_IN_KEY)) return "signed_out";
      await start();
      return new Promise(() => {});
    }
    history.replaceState(null, "", "/");
    const kept = JSON.parse(sessionStorage.getItem(ATTEMPT_KEY) ?? "null");
    sessionStorage.removeItem(ATTEMPT_KEY);
    sessionStorage.removeItem(SIGNED_IN_KEY);
    if (!kept) return "signed_out";
    const server = await issuer();
    const parameters = oauth.validateAuthResponse(server, client, here, kept.state);
    const answer = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      oauth.None(),
      parameters,
      redirectUri,
      kept.verifier,
      insecure,
    );
    keep(await oauth.processAuthorizationCodeResponse(server, client, answer));
    return "signed_in";
  }

  /** A new access token by refresh token; null when the issuer gave none or refuses it. */
  async function refreshed() {
    if (!tokens?.refresh) return null;
    try {
      const server = await issuer();
      const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh, insecure);
      return keep(await oauth.processRefreshTokenResponse(server, client, answer));
    } catch {
      return null;
    }
  }

  /**
   * @param {string | null} refused the token that was refused, null when it is merely about to end
   * @returns {Promise<string>}
   */
  async function replace(refused) {
    if (tokens && refused !== null && tokens.access !== refused) return tokens.access;
    const age = tokens ? Date.now() - tokens.receivedAt : Infinity;
    const renewed = await refreshed();
    if (renewed) return renewed;
    if (age < LOOP_GUARD_MS) throw new Problem({ code: "sign_in_refused", status: 401 });
    await start().catch(() => {
      throw new Problem({ code: "network" });
    });
    throw new Problem({ code: "signing_in" });
  }

  /**
   * One renewal at a time, however many requests ask for it.
   * @param {string | null} refused
   */
  function renew(refused) {
    renewal ??= replace(refused).finally(() => {
      renewal = null;
    });
    return renewal;
  }

  return {
    start,
    resume,
    renew,
    async accessToken() {
      if (!tokens) throw new Problem({ code: "signing_in" });
      return tokens.expiresAt - EXPIRY_MARGIN_MS > Date.now() ? tokens.access : renew(null);
    },
    /** The place kept over the redirect; read once. */
    takePlace() {
      const place = JSON.parse(sessionStorage.getItem(PLACE_KEY) ?? "null");
      sessionStorage.removeItem(PLACE_KEY);
      return place;
    },
    /**
     * Who signed in, for display: the id token's claims, where the issuer sent one.
     * @returns {PageState["person"]}
     */
    person() {
      try {
        const payload = (tokens?.id ?? "").split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
        const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
        const claims = JSON.parse(new TextDecoder().decode(bytes));
        return { name: claims.name ?? claims.email ?? null, organization: claims.org_name ?? null };
      } catch {
        return { name: null, organization: null };
      }
    },
    /** Forgets everything here and, where the issuer offers it, ends the session there too. */
    async signOut() {
      const idToken = tokens?.id;
      tokens = null;
      [ATTEMPT_KEY, PLACE_KEY, SIGNED_IN_KEY].forEach((key) => sessionStorage.removeItem(key));
      const server = await issuer().catch(() => null);
      if (!server?.end_session_endpoint) return;
      const url = new URL(server.end_session_endpoint);
      url.searchParams.set("client_id", config.client_id);
      url.searchParams.set("post_logout_redirect_uri", redirectUri);
      if (idToken) url.searchParams.set("id_token_hint", idToken);
      location.assign(url);
    },
  };
}
