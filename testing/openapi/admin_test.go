package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The admin address answers as the document says, and each documented status is
// seen.
func TestAdminAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := newContract(t, s.Admin, printed(t))
	s.Post(createAlice).Want(http.StatusAccepted, "accepted")
	s.Post(strings.Replace(createAlice, "create", "rename", 1)).Want(http.StatusAccepted, "accepted")
	get := func(status int, wrong bool, operation, path string) answer {
		t.Helper()
		return admin.ask(call{"GET", path, operation, nil, "", wrong, status})
	}
	post := func(status int, wrong bool, operation, path, body string) answer {
		t.Helper()
		return admin.ask(call{"POST", path, operation, headers("Content-Type", "application/json"), body, wrong, status})
	}
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/metrics", "/projections", "/api/console", "/api/streams", "/api/commands", "/api/parked", "/api/reactions/parked", "/api/dead-letters", "/api/jobs", "/api/read-models", "/api/read-models/events"} {
		get(200, false, path, path)
	}
	get(200, false, "/api/streams/{aggregate}/{id}", "/api/streams/user/1?after=1&limit=1&version=1&version=2")
	get(400, true, "/api/streams/{aggregate}/{id}", "/api/streams/user/1?limit=501")
	get(404, false, "/api/streams/{aggregate}/{id}", "/api/streams/planet/1")
	post(200, false, "/api/send", "/api/send", `{"command":`+createAlice+`,"wait":5}`)
	post(200, false, "/api/send", "/api/send", `{"command":{"type":"nonsense"}}`)
	post(400, true, "/api/send", "/api/send", `{"command":{},"wait":31}`)

	get(200, false, "/api/parked", "/api/parked?after=user/1&limit=5")
	get(400, true, "/api/parked", "/api/parked?limit=-1")
	for _, of := range []string{"/api/parked/{aggregate}/{id}", "/api/parked/{aggregate}/{id}/requeue", "/api/parked/{aggregate}/{id}/drop"} {
		path, body := strings.NewReplacer("{aggregate}", "user", "{id}", "1").Replace(of), "{}"
		if of == "/api/parked/{aggregate}/{id}" {
			get(404, false, of, path)
			get(400, true, of, path+"?after=x")
			continue
		}
		if strings.HasSuffix(of, "drop") {
			body = `{"command":"c-1"}`
		}
		post(404, false, of, path, body)
		post(400, true, of, path, `{"other":1}`)
	}
	for _, what := range []string{"retry", "skip"} {
		of, body := "/api/reactions/{reaction}/"+what, `{"stream":"user/1"}`
		if what == "skip" {
			body = `{"stream":"user/1","offset":0}`
		}
		post(409, false, of, "/api/reactions/unique/"+what, body)
		post(404, false, of, "/api/reactions/nothing/"+what, body)
		post(400, true, of, "/api/reactions/unique/"+what, `{}`)
	}
	get(400, true, "/api/dead-letters", "/api/dead-letters?after=x")
	get(404, false, "/api/dead-letters/{partition}/{offset}", "/api/dead-letters/0/0")
	post(404, false, "/api/dead-letters/{partition}/{offset}/drop", "/api/dead-letters/0/0/drop", "{}")
	post(400, true, "/api/dead-letters/{partition}/{offset}/drop", "/api/dead-letters/0/0/drop", `{"a":1}`)

	get(200, false, "/api/read-models/{model}/parked", "/api/read-models/users/parked")
	get(400, true, "/api/read-models/{model}/parked", "/api/read-models/users/parked?limit=501")
	get(404, false, "/api/read-models/{model}/parked", "/api/read-models/nothing/parked")
	for _, action := range []struct{ name, body string }{
		{"rebuild", `{"noSwap":true}`}, {"swap", `{"generation":2}`}, {"rollback", `{}`}, {"drop", `{"generation":2}`}, {"retry", `{}`},
	} {
		of := "/api/read-models/{model}/" + action.name
		admin.finished(post(202, false, of, "/api/read-models/users/"+action.name, action.body))
		post(404, false, of, "/api/read-models/nothing/"+action.name, action.body)
		post(400, true, of, "/api/read-models/users/"+action.name, `{"other":1}`)
	}
	job := post(202, false, "/api/verify", "/api/verify", `{"readModels":["users"],"repair":true}`)
	admin.finished(job)
	post(400, false, "/api/verify", "/api/verify", `{"readModels":["nothing"]}`)
	var of struct{ ID int }
	if err := json.Unmarshal([]byte(job.body), &of); err != nil {
		t.Fatal(err)
	}
	post(202, false, "/api/jobs/{job}/cancel", fmt.Sprintf("/api/jobs/%d/cancel", of.ID), "{}")
	post(404, false, "/api/jobs/{job}/cancel", "/api/jobs/99/cancel", "{}")
	get(404, false, "/api/jobs/{job}", "/api/jobs/99")
	get(200, false, "/api/jobs", "/api/jobs")

	for _, path := range []string{"/api/streams", "/api/commands", "/api/jobs", "/api/jobs/{job}", "/api/read-models", "/api/read-models/events", "/api/dead-letters/{partition}/{offset}", "/api/reactions/parked"} {
		get(400, false, path, filledIn(path)+"?other=1")
	}
	post(400, true, "/api/jobs/{job}/cancel", "/api/jobs/1/cancel", `{"other":1}`)
	for at, operation := range admin.document.operations() {
		if !ofViews.MatchString(at[1]) {
			continue
		}
		if at[0] == http.MethodPost {
			admin.ask(call{at[0], filledIn(at[1]), at[1], headers("Content-Type", "text/plain"), "{}", true, 415})
		}
		for status := range operation.Responses {
			name := at[0] + " " + at[1] + " " + status
			if !admin.seen[name] && !slices.Contains(notBroughtAbout, name) && !slices.Contains(elsewhere, status) {
				t.Errorf("%s is documented, and was not seen", name)
			}
		}
	}
}

// notBroughtAbout are the answers of services with parked commands, with dead
// letters or with several jobs, and the refusals of a query without parameters.
var notBroughtAbout = []string{
	"GET /api/parked/{aggregate}/{id} 200", "POST /api/parked/{aggregate}/{id}/requeue 200", "POST /api/parked/{aggregate}/{id}/drop 200",
	"POST /api/reactions/{reaction}/retry 200", "POST /api/reactions/{reaction}/skip 200",
	"POST /api/parked/{aggregate}/{id}/requeue 409", "POST /api/parked/{aggregate}/{id}/drop 409",
	"GET /api/dead-letters/{partition}/{offset} 200", "POST /api/dead-letters/{partition}/{offset}/drop 200",
	"POST /api/verify 409", "POST /api/read-models/{model}/rebuild 409", "POST /api/read-models/{model}/swap 409",
	"POST /api/read-models/{model}/rollback 409", "POST /api/read-models/{model}/drop 409", "POST /api/read-models/{model}/retry 409",
}

// ofViews are the paths of views whose answers are all seen here.
var ofViews = regexp.MustCompile(`^/api/(streams|commands|send|parked|reactions|dead-letters|read-models|verify|jobs)`)

// ofAdmin says whether a path is one of the console's API.
func ofAdmin(path string) bool { return strings.HasPrefix(path, "/api/") }

// filledIn is a path with values for its parameters.
func filledIn(path string) string {
	return strings.NewReplacer("{id}", "1", "{command}", "c-1", "{aggregate}", "user", "{partition}", "0", "{offset}", "0", "{model}", "users", "{job}", "1", "{reaction}", "unique").Replace(path)
}

// finished waits for the end of a job.
func (c *contract) finished(job answer) {
	c.t.Helper()
	var of struct{ ID int }
	if err := json.Unmarshal([]byte(job.body), &of); err != nil {
		c.t.Fatal(err)
	}
	for range 500 {
		got := c.ask(call{method: "GET", path: fmt.Sprintf("/api/jobs/%d", of.ID), operation: "/api/jobs/{job}", status: 200})
		if !strings.Contains(got.body, `"state":"running"`) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Errorf("job %d does not end", of.ID)
}

// A command of the console has the rights of the caller's token, and no others.
func TestSendWithTheCallersToken(t *testing.T) {
	t.Parallel()
	both := sha256.Sum256([]byte("both-horse-battery-staple-correct"))
	s := start(t, "auth.tokens="+tokens+",both:commands+operate:"+hex.EncodeToString(both[:]))
	admin := newContract(t, s.Admin, printed(t))
	for token, want := range map[string]string{adminToken: `"status":403,`, "Bearer both-horse-battery-staple-correct": `"status":200,`} {
		header := headers("Content-Type", "application/json", "Authorization", token)
		got := admin.ask(call{"POST", "/api/send", "/api/send", header, `{"command":` + createAlice + `,"wait":10}`, false, 200})
		if !strings.Contains(got.body, want) || strings.Contains(want, "200") != strings.Contains(got.body, `"step":"visible","readModel":"users"`) {
			t.Errorf("%s: %s", token, got)
		}
	}
	for header, status := range map[string]int{"": 401, shopToken: 403} {
		refused := headers("Content-Type", "application/json")
		if header != "" {
			refused.Set("Authorization", header)
		}
		admin.ask(call{"POST", "/api/send", "/api/send", refused, `{"command":` + createAlice + `}`, false, status})
	}
}
