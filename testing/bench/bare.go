package main

import (
	"context"
	"encoding/json"
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

// startBare is the limit of HTTP itself.
func startBare(context.Context, string) (target, error) {
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
	return target{url: server.URL + "/commands", stop: server.Close}, nil
}
