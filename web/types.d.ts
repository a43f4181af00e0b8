/**
 * Types of the connect page: what the server answers (design: "Requests and answers") and what the page keeps in its
 * store. They are ambient so that every module's JSDoc can name them; `tsc --noEmit` in tests/web checks them.
 */

/** `/config.json`: everything a deployment can set about this page. */
interface PageConfig {
  /** Prefix of every request to our own server; empty on the same origin. */
  api_base: string;
  issuer: string;
  client_id: string;
  scope: string;
  /** True only on a developer's machine, where the issuer speaks plain http. */
  allow_insecure_issuer: boolean;
  brand: { name: string; logo?: string | null; accent?: string | null };
  categories: string[];
  mode: "simple" | "app_centre";
  /** A dictionary of `locales/`, or "auto" for the browser's own language. */
  locale: string;
  /** Whether a category holds one system at most: the page then offers to replace it. */
  one_per_category?: boolean;
  link_script_url: string;
  link_api_host?: string | null;
  /** Origins of pages that may embed this one, hand over an access token and receive events. */
  host_origins: string[];
  /** Seconds between two polls while something is moving; 15 when absent. */
  poll_seconds?: number;
}

type HealthState =
  | "connecting"
  | "first_sync"
  | "healthy"
  | "degraded"
  | "action_needed"
  | "paused"
  | "disconnecting"
  | "disconnected";

interface Health {
  state: HealthState;
  reason: string | null;
  actor: "end_user" | "provider_admin" | "operator" | "nobody" | null;
  can_refresh: boolean;
  can_reconnect: boolean;
  since: string | null;
}

interface IntegrationName {
  name: string | null;
  slug: string | null;
  image: string | null;
  color: string | null;
}

/** One item of `GET /v1/linked-accounts`. */
interface LinkedAccount {
  id: string;
  category: string;
  status: "INCOMPLETE" | "COMPLETE" | "RELINK_NEEDED" | "IDLE" | "DELETING" | "DELETED";
  health: Health;
  open_issues: { id: string; type: string; message: string; first_seen: string; last_seen: string }[];
  integration: IntegrationName | null;
  display_name: string | null;
  is_duplicate: boolean | null;
  duplicate_ignored: boolean;
  deletions_held: boolean;
  /** what a fresh login led to, while deletions are held */
  deletions_held_for: string | null;
  initial_sync_completed: boolean;
  records: number;
  data_fresh_as_of: string | null;
  last_successful_sync_at: string | null;
  created_at: string;
  updated_at: string;
}

/** One kind of data in `GET /v1/linked-accounts/{id}/sync-status`. */
interface ModelProgress {
  model_id: string;
  model_name: string;
  status: string | null;
  last_sync_result?: string | null;
  last_sync_finished?: string | null;
  next_sync_start?: string | null;
  is_initial_sync?: boolean | null;
  last_synced_at: string | null;
  records: number;
  /** The reading that is under way. */
  window?: { added: number } | null;
}

interface SyncProgress {
  results: ModelProgress[];
  sync_complete: boolean;
}

/** One item of `GET /v1/integrations?category=`. */
interface CatalogueEntry {
  name: string;
  slug: string;
  categories: string[];
  image: string | null;
  square_image: string | null;
  color: string | null;
}

interface Catalogue {
  entries: CatalogueEntry[];
  source: "live" | "cached" | "fallback";
}

/** One item of `GET /v1/linked-accounts/{id}/events`. */
interface HistoryEvent {
  id: string;
  at: string;
  type: string;
  actor: string;
  model_id?: string | null;
  detail?: Record<string, unknown>;
}

/** What a sentence needs: a dictionary key and its values. Views translate it; modules without words pass it around. */
interface Message {
  key: string;
  params?: Record<string, string | number>;
  /** The request's reference, shown when only support can help. */
  reference?: string | null;
  tone?: "info" | "warning";
  /** A name of icons.js, where the tone's own would say too much. */
  icon?: string;
  /** When it was told, for sentences that pass. */
  toldAt?: number;
  /** The category whose system has to go first: the notice offers to replace it. */
  replaces?: string;
  /** Seconds before trying again is of use. */
  wait?: number;
  /** When that will be; the sentence counts down to it. */
  until?: number;
}

/** A system that gives way to the next one of its category. `button` is the Connect button that waits, if one does. */
interface Replacement {
  id: string;
  name: string;
  button: string | null;
  phase: "asking" | "removing";
}

/**
 * One press of a Connect or Relink button. `key` names the button; `starting` lasts until the dialog is ready,
 * `open` until it closes, `finishing` until the server has stored the result.
 */
interface Attempt {
  key: string;
  phase: "starting" | "open" | "finishing";
}

type SessionState = "starting" | "signed_out" | "signed_in";

/** The page's whole state, kept in one store. */
interface PageState {
  session: SessionState;
  /** Who is signed in, for display only. */
  person: { name: string | null; organization: string | null };
  accounts: LinkedAccount[] | null;
  /** Why the list could not be read, while it could not. */
  listProblem: Message | null;
  progress: Record<string, SyncProgress>;
  /** What is known of a connection's past, and how much of it is shown. */
  history: Record<string, { events: HistoryEvent[]; pages: number }>;
  catalogues: Record<string, Catalogue | { problem: Message }>;
  attempts: Record<string, Attempt>;
  /** Sentences next to the control they are about; the key is the control's. */
  notices: Record<string, Message>;
  /** The connections whose details are open. */
  open: Record<string, boolean>;
  /** The connection being renamed. */
  renaming: string | null;
  /** Controls waiting for the server, other than attempts. */
  busy: Record<string, boolean>;
  /** The connection whose deletion is being confirmed, and the control that asked. */
  confirming: { id: string; opener: string } | null;
  /** Systems that give way to others, by category. */
  replacing: Record<string, Replacement>;
  /** The other accounts of a connection's set of duplicates, once reviewed. */
  duplicates: Record<string, LinkedAccount[]>;
  /** Which of the connected systems are shown, where there are many. */
  filter: { text: string; attention: boolean };
  /** The browser has no network. */
  offline: boolean;
  /** One polite sentence for assistive technology. */
  announcement: string;
  tab: string;
  search: string;
  now: number;
}

/** The provider's dialog script (its documented surface; see views of `dialog.js`). */
interface LinkDialogConfig {
  linkToken: string;
  shouldSendTokenOnSuccessfulLink: boolean;
  tenantConfig?: { apiBaseURL: string };
  onReady: () => void;
  onSuccess: (publicToken: string) => void;
  onExit: () => void;
  onValidationError: (errors: { detail?: string; problem_type?: string }[]) => void;
  onError: (error?: unknown) => void;
}

interface Window {
  MergeLink?: {
    initialize(config: LinkDialogConfig): void;
    openLink(config?: Partial<LinkDialogConfig>): void;
    closeLink?(): void;
  };
}
