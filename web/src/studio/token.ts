const KEY = "minamo.token";

/**
 * The access token: from `#token=…`, which leaves the address bar at once so that it is neither shared nor shown, or from earlier
 * in this tab.
 */
export function findToken(): string | null {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const token = parameters.get("token");
  if (token === null) return sessionStorage.getItem(KEY);
  history.replaceState(null, "", location.pathname + location.search);
  if (token === "") return sessionStorage.getItem(KEY);
  keepToken(token);
  return token;
}

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token);

export const forgetToken = (): void => sessionStorage.removeItem(KEY);
