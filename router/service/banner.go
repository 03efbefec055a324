package service

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/millrace/millrace/router/config"
)

// banner prints the roles, the addresses, the places of the data, and commands
// to try in this process.
func banner(w io.Writer, service *registered, cfg config.Config, at Addresses) {
	roles := make([]string, 0, len(cfg.Roles))
	for _, role := range cfg.Roles {
		roles = append(roles, string(role))
	}
	fmt.Fprintf(w, "\n%s: %s\n\n", service.title, strings.Join(roles, ", "))
	line := func(what, where string) {
		if where != "" {
			fmt.Fprintf(w, "  %-9s %s\n", what, where)
		}
	}
	commands, queries, admin := httpURL(cfg, at.Commands), httpURL(cfg, at.Queries), httpURL(cfg, at.Admin)
	line("commands", commands)
	line("queries", queries)
	if cfg.Admin.Console {
		line("console", admin)
	}
	line("admin", admin)
	if at.Broker != "" {
		line("kafka", at.Broker+", embedded, in "+cfg.BrokerDir())
	} else if cfg.Has(config.CommandService) || cfg.Has(config.QueryService) {
		line("kafka", strings.Join(cfg.Kafka.Brokers, ", "))
	}
	if cfg.Has(config.QueryService) || cfg.Has(config.ReadAPI) {
		line("store", storeText(cfg))
	}
	token := ""
	if len(cfg.Auth.Tokens) > 0 || cfg.Auth.JWT.Issuer != "" {
		token = `-H "Authorization: Bearer $TOKEN" `
	}
	try := service.try
	fmt.Fprint(w, "\nTry:\n")
	if try.Command != "" && commands != "" {
		fmt.Fprintf(w, "  curl %s-X POST %s/commands -H \"Content-Type: application/json\" -d '%s'\n", token, commands, try.Command)
	}
	if try.Query != "" && queries != "" {
		fmt.Fprintf(w, "  curl %s%s%s\n", token, queries, try.Query)
	}
	fmt.Fprintf(w, "  curl %s/readyz\n\n", admin)
}

// showsBanner says whether people look at the output. Among the JSON lines of a
// container or of log.format json, a banner would be in the way: a line of the
// log has the addresses then. The first process of a container has number 1.
func showsBanner(cfg config.Config, stdout io.Writer, pid int) bool {
	return isTerminal(stdout) || cfg.Log.Format == "text" || cfg.Log.Format == "auto" && pid != 1
}

// announce says the roles and the addresses, to people or in the log.
func (m *Process) announce(at Addresses) {
	if showsBanner(m.Config, m.Stdout, os.Getpid()) {
		banner(m.Stdout, m.Service, m.Config, at)
		return
	}
	fields := []any{"roles", m.Config.Roles}
	for _, a := range []struct{ name, address string }{
		{"commands", at.Commands}, {"queries", at.Queries}, {"admin", at.Admin}, {"broker", at.Broker},
	} {
		if a.address != "" {
			fields = append(fields, a.name, a.address)
		}
	}
	m.Log.Info("started", fields...)
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

func httpURL(cfg config.Config, address string) string {
	if address == "" {
		return ""
	}
	return schemeOf(cfg) + "://" + strings.Replace(dialable(address), "127.0.0.1:", "localhost:", 1)
}

func schemeOf(cfg config.Config) string {
	if cfg.TLS.Cert != "" {
		return "https"
	}
	return "http"
}
