package openapi

import (
	"net/http"
	"strings"
	"testing"
)

// The API of the console answers as the document says, where a request needs
// more than a path.
func TestConsoleAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	s := start(t, "auth.tokens="+tokens)
	commands, admin := contractOf(t, s.Commands, shopToken), newContract(t, s.Admin, printed(t))
	commands.ask(call{"POST", "/commands", "/commands", headers("Content-Type", "application/json", "Prefer", "wait=10", "Authorization", shopToken), createAlice, false, 200})
	operator := headers("Authorization", adminToken)
	get := func(status int, wrong bool, operation, path string) answer {
		t.Helper()
		return admin.ask(call{"GET", path, operation, operator, "", wrong, status})
	}
	list := get(200, false, "/api/log", "/api/log?stream=user/&type=userCreated&contains=Alice&limit=1")
	if !strings.Contains(list.body, `"offset":0`) {
		t.Errorf("the log has no Alice: %s", list)
	}
	get(400, true, "/api/log", "/api/log?limit=0")
	_, partition, _ := strings.Cut(list.body, `"partition":`)
	partition, _, _ = strings.Cut(partition, ",")
	get(200, false, "/api/log/{partition}/{offset}", "/api/log/"+partition+"/0")
	get(404, false, "/api/log/{partition}/{offset}", "/api/log/"+partition+"/99")

	logIn := func(status int, wrong bool, contentType, token string) answer {
		t.Helper()
		return admin.ask(call{"POST", "/api/session", "/api/session", headers("Content-Type", contentType), `{"token":"` + token + `"}`, wrong, status})
	}
	token, shop := strings.TrimPrefix(adminToken, "Bearer "), strings.TrimPrefix(shopToken, "Bearer ")
	logIn(204, false, "application/json", token)
	logIn(400, true, "application/json", "")
	logIn(401, false, "application/json", "nobody's")
	logIn(403, false, "application/json", shop)
	logIn(415, true, "text/plain", token)
	admin.ask(call{"GET", "/api/console", "/api/console", http.Header{"Authorization": {adminToken}, "Sec-Fetch-Site": {"cross-site"}}, "", false, 403})
}
