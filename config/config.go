// Package config is what an operator can set: a typed Config with defaults,
// loaded strictly from a YAML file, the environment and flags.
package config

import (
	"path/filepath"
	"slices"
	"time"
)

// Role is one of the parts of Millrace that a process can run.
type Role string

// The four roles. A process runs any mix of them.
const (
	Broker         Role = "broker"          // the embedded Kafka broker
	CommandService Role = "command-service" // the HTTP command gateway and the command handlers
	QueryService   Role = "query-service"   // the projections
	ReadAPI        Role = "read-api"        // the HTTP queries
)

// Values of store.driver.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
	Memory   = "memory"
)

// Config holds every setting. The tags of a field are all there is to know
// about its key: yaml names it, help documents it (with its unit), and oneof,
// range or is say what is allowed. Whatever Load returns is within them.
type Config struct {
	Roles    []Role `yaml:"roles" oneof:"broker|command-service|query-service|read-api" help:"What this process runs: any mix of broker, command-service, query-service and read-api."`
	DataDir  string `yaml:"data_dir" is:"folder" help:"The folder of everything this machine keeps: the broker's log, the ledger, the SQLite read model."`
	Insecure bool   `yaml:"insecure" help:"Allow addresses that other machines can reach, although there is no authentication."`

	Log            LogConfig            `yaml:"log"`
	Broker         BrokerConfig         `yaml:"broker" help:"The embedded broker, for one machine."`
	Kafka          KafkaConfig          `yaml:"kafka" help:"The Kafka cluster, embedded or not, as its clients see it."`
	CommandService CommandServiceConfig `yaml:"command_service"`
	QueryService   QueryServiceConfig   `yaml:"query_service"`
	ReadAPI        ReadAPIConfig        `yaml:"read_api"`
	Admin          AdminConfig          `yaml:"admin"`
	Store          StoreConfig          `yaml:"store" help:"Where the read models live. The query service and the read API must agree on it."`
	Handlers       HandlersConfig       `yaml:"handlers"`

	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" range:"1ms..10m" help:"How long work under way may take to finish when the process is told to stop."`
}

// LogConfig is the form and the amount of the log lines.
type LogConfig struct {
	Format string `yaml:"format" oneof:"auto|text|json" help:"text for people, json for machines; auto is text on a terminal and json elsewhere."`
	Level  string `yaml:"level" oneof:"debug|info|warn|error" help:"debug, info, warn or error: what is less important is left out."`
}

// BrokerConfig is the embedded Kafka broker.
type BrokerConfig struct {
	Address string `yaml:"address" is:"address" help:"Where the broker listens; port 0 picks a free one."`
	Sync    bool   `yaml:"sync" help:"Sync every write to disk: what is acknowledged survives a power cut too, several times slower."`
}

// KafkaConfig is the cluster that all roles but the broker are clients of.
type KafkaConfig struct {
	Brokers      []string      `yaml:"brokers" is:"broker" help:"Brokers to ask first, each host:port."`
	Partitions   int           `yaml:"partitions" range:"1..10000" help:"Partitions of each topic. Choose once: users are spread over them by hash."`
	Replication  int           `yaml:"replication" range:"1..32767" help:"Copies that the cluster keeps of each topic; 3 on a cluster that may lose a machine."`
	CommandsKeep time.Duration `yaml:"commands_keep" range:"0s..87600h" help:"How long decided commands are kept at least; 0s keeps them for ever. Events are always kept."`
	TopicPrefix  string        `yaml:"topic_prefix" is:"prefix" help:"Put before the name of each topic and consumer group, for a cluster shared with others."`
}

// CommandServiceConfig is the HTTP command gateway.
type CommandServiceConfig struct {
	Address        string        `yaml:"address" is:"address" help:"Where commands are taken: POST /commands."`
	MaxInFlight    int           `yaml:"max_in_flight" range:"1..1000000" help:"Commands on their way to Kafka at once; one more gets a 503."`
	MaxUndecided   int           `yaml:"max_undecided" range:"1..10000000" help:"Commands that this process took and nobody has decided yet; one more gets a 503."`
	PublishTimeout time.Duration `yaml:"publish_timeout" range:"1ms..25s" help:"How long Kafka may take to hold a command before its client gets a 503."`
}

// QueryServiceConfig is the projections' batches. A batch is one transaction.
type QueryServiceConfig struct {
	BatchSize   int           `yaml:"batch_size" range:"1..100000" help:"The most records in one transaction of a projection."`
	BatchLinger time.Duration `yaml:"batch_linger" range:"0s..1s" help:"How long a batch that is not full waits for more records."`
}

// ReadAPIConfig is the HTTP queries.
type ReadAPIConfig struct {
	Address          string        `yaml:"address" is:"address" help:"Where queries are answered: GET /users and the like."`
	PublicURL        string        `yaml:"public_url" is:"url" help:"The read API's URL as clients see it. The command service needs it too, for Location."`
	ReadAfterTimeout time.Duration `yaml:"read_after_timeout" range:"0s..10m" help:"How long a query with Read-After waits to be recent enough before a 503."`
}

// AdminConfig is where a process tells about itself. Every role has it.
type AdminConfig struct {
	Address string `yaml:"address" is:"address" help:"Where /livez, /readyz, /metrics, /projections and /debug/pprof are; every process has it."`
}

// StoreConfig is the database of the read models.
type StoreConfig struct {
	Driver   string         `yaml:"driver" oneof:"sqlite|postgres|memory" help:"sqlite on one machine, postgres on many, memory to try things in one process."`
	SQLite   SQLiteConfig   `yaml:"sqlite"`
	Postgres PostgresConfig `yaml:"postgres"`
}

// SQLiteConfig is used with store.driver sqlite.
type SQLiteConfig struct {
	Path string `yaml:"path" is:"path" help:"The database file; empty means read.db in data_dir."`
}

// PostgresConfig is used with store.driver postgres.
type PostgresConfig struct {
	URL     Secret `yaml:"url" is:"postgres" help:"Such as postgres://user:password@host:5432/database."`
	URLFile string `yaml:"url_file" is:"path" help:"A file that holds the URL, instead of url."`
}

// HandlersConfig is the write side.
type HandlersConfig struct {
	OutcomesPerUser int `yaml:"outcomes_per_user" range:"1..10000" help:"Outcomes remembered of each user's last commands, for clients that send one again."`
}

// Default is the configuration of a process that is told nothing: all four
// roles on localhost, with their data in ./data.
func Default() Config {
	return Config{
		Roles:   []Role{Broker, CommandService, QueryService, ReadAPI},
		DataDir: "data",
		Log:     LogConfig{Format: "auto", Level: "info"},
		Broker:  BrokerConfig{Address: "localhost:9092"},
		Kafka:   KafkaConfig{Brokers: []string{"localhost:9092"}, Partitions: 12, Replication: 1, CommandsKeep: 7 * 24 * time.Hour},
		CommandService: CommandServiceConfig{
			Address:        "localhost:3001",
			MaxInFlight:    1024,
			MaxUndecided:   10_000,
			PublishTimeout: 10 * time.Second,
		},
		QueryService: QueryServiceConfig{BatchSize: 1000, BatchLinger: 5 * time.Millisecond},
		ReadAPI: ReadAPIConfig{
			Address:          "localhost:3002",
			PublicURL:        "http://localhost:3002",
			ReadAfterTimeout: 5 * time.Second,
		},
		Admin:           AdminConfig{Address: "localhost:3003"},
		Store:           StoreConfig{Driver: SQLite},
		Handlers:        HandlersConfig{OutcomesPerUser: 128},
		ShutdownTimeout: 10 * time.Second,
	}
}

// Has reports whether this process runs role.
func (c Config) Has(role Role) bool { return slices.Contains(c.Roles, role) }

// BrokerDir is the folder of the embedded broker's log.
func (c Config) BrokerDir() string { return filepath.Join(c.DataDir, "broker") }

// LedgerDir is the folder of the write side's fold of the log.
func (c Config) LedgerDir() string { return filepath.Join(c.DataDir, "ledger") }

// SQLitePath is the read models' database file: store.sqlite.path, or read.db
// in the data folder.
func (c Config) SQLitePath() string {
	if c.Store.SQLite.Path != "" {
		return c.Store.SQLite.Path
	}
	return filepath.Join(c.DataDir, "read.db")
}
