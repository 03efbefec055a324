package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/gorilla/mux"
)

// command is a POST's body, as plain code reads it.
type command struct {
	Type    string `json:"type"`
	Payload struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	} `json:"payload"`
}

// serveBare is the limit of HTTP itself: JSON to a handler that does nothing.
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
	server := httptest.NewServer(router)
	defer server.Close()
	fmt.Fprintf(out, "commands %s/commands\n\n", server.URL)
	<-ctx.Done()
	return nil
}
