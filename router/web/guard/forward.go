package guard

import "net/http"

// TokenOf returns the bearer token that the caller of a request has shown, in
// the header Authorization or in the cookie of [Guard.LogIn], "" for none. The
// guard must have let the request through. A process forwards a request of the
// caller with this token, so another process can judge the caller itself.
func TokenOf(r *http.Request) string {
	token, given := bearerToken(r.Header)
	if !given {
		token, _ = cookieToken(r)
	}
	return token
}
