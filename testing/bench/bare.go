package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/gorilla/mux"
)

// command is the body of POST /commands, for plain code.
type command struct {
	Type    string `json:"type"`
	Payload struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	} `json:"payload"`
}

// serveBare serves the limit of HTTP itself: a handler decodes JSON, and does
// nothing.
func serveBare(ctx context.Context, _ string, out io.Writer) error {
	router := mux.NewRouter()
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}).Methods(http.MethodPost)
	one := []byte(`{"id":12345,"name":"User 12345","version":1,"active":true,"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z"}`)
	page := append(append([]byte("["), bytes.Repeat(append(one, ','), 999)...), append(one, ']')...)
	router.HandleFunc("/users", alwaysThis(page)).Methods(http.MethodGet)
	router.HandleFunc("/users/{id}", alwaysThis(one)).Methods(http.MethodGet)
	server := httptest.NewServer(router)
	defer server.Close()
	fmt.Fprintf(out, "commands %s/commands\nqueries %s\n\n", server.URL, server.URL)
	<-ctx.Done()
	return nil
}

// alwaysThis answers every request with the same JSON.
func alwaysThis(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // an error means that the client is gone
	}
}
