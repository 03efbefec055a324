package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/web/guard"
)

// postTimeout bounds a request to the command service of another process: the
// longest wait for an outcome, and some more.
const postTimeout = 45 * time.Second

// maxAnswer is the limit of an answer of the command service, in bytes.
const maxAnswer = 1 << 20

// postCommand sends a command to the command service, on behalf of the caller of
// the admin address: with the caller's token, and within this process with the
// caller's certificate too.
func (m *Process) postCommand(ctx context.Context, from *http.Request, header http.Header, body []byte) (console.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	url := strings.TrimSuffix(m.Config.CommandService.PublicURL, "/")
	if url == "" {
		url = httpURL(m.Config, m.Config.CommandService.Address)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/commands", bytes.NewReader(body))
	if err != nil {
		return console.Answer{}, err
	}
	request.Header = header.Clone()
	if token := guard.TokenOf(from); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if handler := m.takeCommands.Load(); handler != nil {
		request.TLS, request.RemoteAddr, request.RequestURI = from.TLS, from.RemoteAddr, "/commands"
		answer := &recorded{header: http.Header{}}
		(*handler).ServeHTTP(answer, request)
		return console.Answer{Status: max(answer.status, http.StatusOK), Header: answer.header, Body: answer.body.Bytes()}, nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return console.Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the answer is over %d bytes", maxAnswer)
	}
	return console.Answer{Status: response.StatusCode, Header: response.Header, Body: text}, err
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (r *recorded) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *recorded) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements [http.ResponseWriter].
func (r *recorded) Write(text []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(text)
}
