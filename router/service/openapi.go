package service

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

const openAPIPath = "/openapi.json"

// describe adds GET /openapi.json, the description of all routes of a router.
// Call describe last.
func (m *Process) describe(router *mux.Router) error {
	paths := []string{openAPIPath}
	err := router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		paths = append(paths, path)
		return err
	})
	if err != nil {
		return err
	}
	document := documents.OpenAPI(m.Service.description(), paths...)
	digest := sha256.Sum256(document)
	etag := `"` + hex.EncodeToString(digest[:8]) + `"`
	router.Handle(openAPIPath, web.Handler(m.Log, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query.Query(r); err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-cache")
		if !query.NotModified(w, r, etag) {
			web.WriteEncoded(w, http.StatusOK, document[:len(document):len(document)])
		}
		return nil
	})).Methods(http.MethodGet, http.MethodHead)
	return nil
}

type docsCmd struct {
	OpenAPI  openAPICmd  `cmd:"" name:"openapi" help:"Print the OpenAPI 3.1 document of the HTTP interface, as JSON."`
	AsyncAPI asyncAPICmd `cmd:"" name:"asyncapi" help:"Print the AsyncAPI 3.0 document of the topics, as JSON."`
}

type openAPICmd struct{}

// Run prints the paths of both APIs.
func (openAPICmd) Run(in *invocation) error {
	_, err := in.stdout.Write(documents.OpenAPI(in.service.description()))
	return err
}

type asyncAPICmd struct{}

// Run prints the topics.
func (asyncAPICmd) Run(in *invocation) error {
	_, err := in.stdout.Write(documents.AsyncAPI(in.service.description()))
	return err
}
