package service

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka/embedded"
	"github.com/millrace/millrace/router/sqlstore"
)

// checkStoreTarget refuses a store that no service of this configuration would
// use: a tool would change a store that nobody reads, and report success.
func checkStoreTarget(cfg config.Config) error {
	refuse := func(key, value, reason string) error {
		return &config.Errors{{Key: key, Value: value, Source: "in force", Reason: reason}}
	}
	if !cfg.Has(config.QueryService) && !cfg.Has(config.ReadAPI) {
		roles := make([]string, len(cfg.Roles))
		for i, r := range cfg.Roles {
			roles[i] = string(r)
		}
		return refuse("roles", fmt.Sprintf("%q", strings.Join(roles, ",")),
			"a process of these roles has no store: run this with the configuration of a query-service or a read-api")
	}
	if cfg.Store.Driver == config.Memory {
		return refuse("store.driver", `"memory"`, "must be sqlite or postgres: nobody but the process that serves can reach a store in memory")
	}
	if cfg.Has(config.Broker) && slices.Equal(cfg.Kafka.Brokers, []string{cfg.Broker.Address}) && !embedded.Runs(cfg.BrokerDir()) {
		return fmt.Errorf("no broker runs on %s, so a Kafka at %s is not the one of this configuration: name the configuration of the services with --config",
			cfg.BrokerDir(), cfg.Broker.Address)
	}
	if cfg.Store.Driver == config.SQLite {
		if _, err := os.Stat(cfg.SQLitePath()); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no store at %s, so no service reads it: name the configuration of the services with --config", cfg.SQLitePath())
		}
	}
	return nil
}

// sayTarget names the log and the store that a tool works on.
func sayTarget(w io.Writer, cfg config.Config, withStore bool) {
	target := "log at " + strings.Join(cfg.Kafka.Brokers, ", ")
	if cfg.Kafka.TopicPrefix != "" {
		target += ", topics " + cfg.Kafka.TopicPrefix + "*"
	}
	if withStore {
		target += "; store " + storeName(cfg)
	}
	fmt.Fprintln(w, target)
}

// storeName is the store with its place, without a password.
func storeName(cfg config.Config) string {
	if cfg.Store.Driver == config.Postgres {
		return "PostgreSQL, " + sqlstore.PostgresPlace(string(cfg.Store.Postgres.URL))
	}
	return storeText(cfg)
}
