package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/config"
)

// banner says what runs, where, where the data is, and what to try.
func banner(w io.Writer, cfg config.Config, at Addresses) {
	roles := make([]string, 0, len(cfg.Roles))
	for _, role := range cfg.Roles {
		roles = append(roles, string(role))
	}
	fmt.Fprintf(w, "\nMillrace: %s\n\n", strings.Join(roles, ", "))
	line := func(what, where string) {
		if where != "" {
			fmt.Fprintf(w, "  %-9s %s\n", what, where)
		}
	}
	line("commands", httpURL(at.Commands))
	line("queries", httpURL(at.Queries))
	line("admin", httpURL(at.Admin))
	if at.Broker != "" {
		line("kafka", at.Broker+", embedded, in "+cfg.BrokerDir())
	} else if cfg.Has(config.CommandService) || cfg.Has(config.QueryService) {
		line("kafka", strings.Join(cfg.Kafka.Brokers, ", "))
	}
	if cfg.Has(config.QueryService) || cfg.Has(config.ReadAPI) {
		line("store", storeText(cfg))
	}
	commands, queries := httpURL(at.Commands), httpURL(at.Queries)
	if commands == "" {
		commands = "http://localhost:3001"
	}
	if queries == "" {
		queries = cfg.ReadAPI.PublicURL
	}
	fmt.Fprintf(w, `
Try:
  curl -X POST %[1]s/commands -H "Content-Type: application/json" -d '{"type":"createUser","payload":{"id":1,"name":"Alice"}}'
  curl %[2]s/users
  curl %[3]s/readyz

`, commands, queries, httpURL(at.Admin))
}

func storeText(cfg config.Config) string {
	switch cfg.Store.Driver {
	case config.Postgres:
		return "PostgreSQL"
	case config.Memory:
		return "in memory: gone when this ends"
	default:
		return "SQLite, in " + cfg.SQLitePath()
	}
}

func httpURL(address string) string {
	if address == "" {
		return ""
	}
	return "http://" + strings.Replace(address, "127.0.0.1:", "localhost:", 1)
}
