package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/router/service/servicetest"
)

const (
	operatorToken = "an operator's token"
	shopToken     = "a shop's token"
)

// guarded starts a service whose callers need tokens.
func guarded(t *testing.T) *servicetest.Service {
	t.Helper()
	digest := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return hex.EncodeToString(sum[:])
	}
	return servicetest.Start(t, t.TempDir(), "auth.tokens=ops:operate+commands+queries:"+digest(operatorToken)+",shop:commands:"+digest(shopToken))
}

// Without a login a page shows nothing; with a login the page goes on where the
// page was; after the logout the page shows nothing again.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	w := window(t, s, wide)
	w.expect("401")
	w.expect("403")
	w.visit("#/settings")
	w.shows("Log in")
	w.accessible()
	w.shot("login-wide")
	if text := value[string](w, "document.body.innerText"); strings.Contains(text, "kafka") || strings.Contains(text, "Millrace") {
		t.Errorf("a page without a login shows %s", text)
	}
	w.fill("Token", shopToken)
	w.click("button", "Log in")
	w.shows("scope operate")
	w.fill("Token", "nobody's token")
	w.click("button", "Log in")
	w.shows("the token is not known")
	w.fill("Token", operatorToken)
	w.click("button", "Log in")
	w.shows("Configuration in force")
	if cookies := value[string](w, "document.cookie"); cookies != "" {
		t.Errorf("a script reads the cookie %s", cookies)
	}
	w.visit("#/overview")
	w.shows("Live")
	// The console's page may ask the read API, with the cookie.
	if status := value[int](w, fmt.Sprintf("fetch(%q, {credentials: 'include'}).then((r) => r.status)", s.Queries+"/users")); status != http.StatusOK {
		t.Errorf("the read API answers the page with %d", status)
	}
	follows := fmt.Sprintf(`new Promise((resolve) => {
		const source = new EventSource(%q, {withCredentials: true});
		source.onopen = () => { source.close(); resolve('open'); };
		source.onerror = () => { source.close(); resolve('refused'); };
	})`, s.Queries+"/changes?after=AQ&of=users")
	if got := value[string](w, follows); got != "open" {
		t.Errorf("the changes are %s", got)
	}
	w.click("button", "Log out")
	w.shows("Log in")
	w.visit("#/log")
	w.do("reload", chromedp.Reload())
	w.shows("Log in")
	n := window(t, s, narrow)
	n.expect("401")
	n.dark()
	n.visit("")
	n.shows("Log in")
	n.shot("login-narrow-dark")
	n.accessible()
}

// A page of another address gets nothing done with the cookie of an operator:
// not by a form, not by a script, and not in a frame.
func TestOtherPages(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	var evil string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, evil)
	}))
	defer other.Close()
	evil = fmt.Sprintf(`<!doctype html><title>evil</title><form id="f" method="post" enctype="text/plain" action="%[1]s/api/session"><input name='{"token":"' value='x"}'></form><iframe src="%[1]s/"></iframe>`, s.Admin)
	w := open(t, s, "", wide)
	w.expect("401")
	w.expect("403")
	w.expect("CORS")
	w.expect("ERR_FAILED")
	w.expect("frame")
	w.expect("favicon")
	w.shows("Log in")
	w.fill("Token", operatorToken)
	w.click("button", "Log in")
	w.shows("Overview")
	for _, at := range []string{strings.Replace(other.URL, "127.0.0.1", "localhost", 1), other.URL} { // the same site on another port, and another site
		w.do("visit another page", chromedp.Navigate(at))
		w.shows("")
		if framed := value[int](w, "frames.length && (() => { try { return frames[0].document.body.children.length } catch { return 0 } })()"); framed != 0 {
			t.Errorf("%s has the console in a frame", at)
		}
		for _, ask := range []string{
			`fetch('%s/api/settings', {credentials: 'include'})`,
			`fetch('%s/api/session', {method: 'DELETE', credentials: 'include'})`,
			`fetch('%s/api/session', {method: 'POST', body: '{"token":"x"}', credentials: 'include', headers: {'Content-Type': 'application/json'}})`,
		} {
			if got := value[string](w, fmt.Sprintf(ask, s.Admin)+".then((r) => r.text(), () => 'refused')"); got != "refused" {
				t.Errorf("%s: %s gets %s", at, ask, got)
			}
		}
		w.run("document.getElementById('f').submit()")
		w.shows("cross-site")
	}
	w.visit("#/settings")
	w.shows("Configuration in force") // still logged in
}

// Text of clients is text: nothing runs, and no element appears.
func TestTextIsText(t *testing.T) {
	t.Parallel()
	s := servicetest.Start(t, t.TempDir(), "kafka.topic_prefix=x.")
	const hostile = `<img src=x onerror=alert(1)>`
	for _, body := range []string{
		`{"type":"createUser","payload":{"id":"` + hostile + `","name":"` + hostile + `"},"id":"c-1"}`,
		`{"type":"renameUser","payload":{"id":"<script>alert(2)</script>","name":"javascript:alert(3)"}}`,
		`{"type":"createUser","payload":{"id":"\"><svg onload=alert(4)>","name":"{{constructor.constructor('alert(5)')()}}"}}`,
	} {
		s.Post(body, "Prefer", "wait=10")
	}
	w := open(t, s, "#/log", wide)
	w.shows(hostile)
	w.shows("<script>alert(2)</script>")
	for range 3 {
		w.run("document.querySelector('details:not([open]) summary').click()")
	}
	w.wait("all records are open", "document.querySelectorAll('details[open] .json').length === 3")
	w.shot("text-is-text")
	for _, at := range []string{"#/log?stream=" + hostile, "#/%3Cimg%20src=x%20onerror=alert(6)%3E", "#/log?contains=%22%3E%3Cscript%3Ealert(7)%3C/script%3E", "#/overview?x=" + hostile} {
		w.visit(at)
		w.shows("Overview")
	}
	if n := value[int](w, "document.querySelectorAll('img, script:not([src]), svg[onload], [onerror]').length"); n != 0 {
		t.Errorf("%d elements come from clients", n)
	}
	w.expect("requires 'Trusted")
	// Nobody gets round the functions that take text as text.
	for _, way := range []string{
		"document.body.innerHTML = '<b>x</b>'",
		"document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
		"document.write('<b>x</b>')",
		"document.createElement('script').src = '/x.js'",
		"document.createElement('script').text = 'alert(8)'",
	} {
		if !value[bool](w, "(() => { try { "+way+"; return false; } catch (e) { return e instanceof TypeError; } })()") {
			t.Errorf("%s is allowed", way)
		}
	}
}
