package history

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// AnswerIn is how long a client waits for an answer.
const AnswerIn = 12 * time.Second

// Asker sends requests of clients.
type Asker struct {
	HTTP *http.Client
	// Now is the time since the start of the run.
	Now func() time.Duration
}

// Ask sends a request, and notes the answer in the operation. A good answer is
// read into answer.
func (a Asker) Ask(o *Operation, method, url string, header http.Header, body string, answer any) {
	ctx, cancel := context.WithTimeout(context.Background(), AnswerIn)
	defer cancel()
	defer func() { o.Return = a.Now() }()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		o.Error = err.Error()
		return
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := a.HTTP.Do(request)
	if err != nil {
		o.Error = err.Error()
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		o.Error = err.Error()
		return
	}
	o.Position = response.Header.Get("Position")
	problem := struct {
		Type string `json:"type"`
	}{}
	into := any(&problem)
	if response.StatusCode < 300 {
		into = answer
	}
	if err := json.Unmarshal(text, into); err != nil {
		o.Error = err.Error()
		return
	}
	o.HTTP, o.Slug = response.StatusCode, SlugOf(problem.Type)
}

// SlugOf is the last part of a problem's type.
func SlugOf(problemType string) string {
	return strings.TrimPrefix(problemType, "urn:millrace:problem:")
}
