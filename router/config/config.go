// Package config is the configuration of a process: a typed [Config] with
// defaults, loaded strictly from a YAML file, the environment and flags.
//
// The tags of a field of Config say everything about a key. fields in keys.go
// reads the tags once; files, environment, flags, documentation and masking all
// go by the list.
package config

import (
	"path/filepath"
	"slices"
	"time"
)

// Role is a part of Millrace. A process runs one role or several.
type Role string

// The four roles.
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

// SASLOff is the value of kafka.sasl.mechanism for brokers that ask for no
// password.
const SASLOff = "off"

// Config holds every setting. The tags of a field describe the key: yaml is the
// name, help the documentation with the unit, and oneof, range or is the allowed
// values. The result of [Load] has allowed values only.
type Config struct {
	Roles    []Role `yaml:"roles" oneof:"broker|command-service|query-service|read-api" help:"The roles of this process: any mix of broker, command-service, query-service and read-api."`
	DataDir  string `yaml:"data_dir" is:"folder" help:"The folder for all data of this machine: the broker's log, the state of the command service, the SQLite read model."`
	Insecure bool   `yaml:"insecure" help:"Allow addresses without TLS and authentication that other machines can reach, if something else guards the addresses."`

	Log            LogConfig            `yaml:"log"`
	Broker         BrokerConfig         `yaml:"broker" help:"The embedded broker, for one machine."`
	Kafka          KafkaConfig          `yaml:"kafka" help:"The Kafka cluster, embedded or not, as the clients see the cluster."`
	CommandService CommandServiceConfig `yaml:"command_service"`
	QueryService   QueryServiceConfig   `yaml:"query_service"`
	ReadAPI        ReadAPIConfig        `yaml:"read_api"`
	Admin          AdminConfig          `yaml:"admin"`
	HTTP           HTTPConfig           `yaml:"http" help:"Limits for clients of the HTTP addresses (commands, queries, admin)."`
	Auth           AuthConfig           `yaml:"auth" help:"Who may call the HTTP addresses; if empty, everybody who can reach the addresses. /livez, /readyz and /healthz are for everybody."`
	Limits         LimitsConfig         `yaml:"limits" help:"How much one caller (a token's name or subject, a certificate's subject, or an address) may ask for; more gets a 429. 0 is no limit."`
	CORS           CORSConfig           `yaml:"cors"`
	TLS            TLSConfig            `yaml:"tls" help:"HTTPS, for the commands, the queries and the admin address. Files that change are read again."`
	Store          StoreConfig          `yaml:"store" help:"The database of the read models, the same for the query service and the read API."`
	Handlers       HandlersConfig       `yaml:"handlers"`
	Reactions      ReactionsConfig      `yaml:"reactions"`
	Publish        []string             `yaml:"publish" is:"published" empty:"yes" help:"The aggregates whose events other teams may read, each aggregate or aggregate=topic. Without a name, the topic is kafka.topic_prefix and the plural of the aggregate. The command services write the topics; give all the same list."`
	Telemetry      TelemetryConfig      `yaml:"telemetry"`

	DrainDelay      time.Duration `yaml:"drain_delay" range:"0s..10m" help:"How long a process that is told to stop is not ready and still answers, so that a load balancer stops sending requests before the ports close. The time of shutdown_timeout begins afterwards."`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" range:"1ms..10m" help:"How long work under way may take to finish when the process is told to stop."`
}

// LogConfig is the form and the amount of the log lines.
type LogConfig struct {
	Format string `yaml:"format" oneof:"auto|text|json" help:"text for people, json for machines; auto is text on a terminal and json elsewhere."`
	Level  string `yaml:"level" oneof:"debug|info|warn|error" help:"debug, info, warn or error: less important lines are left out."`
}

// BrokerConfig is the embedded Kafka broker.
type BrokerConfig struct {
	Address string `yaml:"address" is:"address" help:"Where the broker listens; port 0 picks a free one."`
	Sync    bool   `yaml:"sync" help:"Sync every write to disk: acknowledged records survive a power cut too. Several times slower."`
}

// KafkaConfig is the cluster. All roles but the broker are clients of the
// cluster.
type KafkaConfig struct {
	Brokers      []string      `yaml:"brokers" is:"broker" help:"Brokers to ask first, each host:port."`
	Partitions   int           `yaml:"partitions" range:"1..10000" help:"Partitions of each topic. Choose once: streams are spread over the partitions by hash."`
	Replication  int           `yaml:"replication" range:"1..32767" help:"Copies of each topic in the cluster; 3 on a cluster that may lose a machine."`
	CommandsKeep time.Duration `yaml:"commands_keep" range:"0s..87600h" help:"How long decided commands are kept at least; 0s keeps them for ever. Events are always kept."`
	TopicPrefix  string        `yaml:"topic_prefix" is:"prefix" help:"Put before the name of each topic and consumer group, for a cluster shared with others."`

	TLS  KafkaTLSConfig  `yaml:"tls" help:"TLS to the brokers. The embedded broker uses TLS too then, with tls.cert."`
	SASL KafkaSASLConfig `yaml:"sasl" help:"The name and the password of the clients. The embedded broker asks for the same."`
}

// KafkaTLSConfig is the clients' side of TLS.
type KafkaTLSConfig struct {
	Enabled    bool   `yaml:"enabled" help:"Talk TLS to the brokers."`
	CA         string `yaml:"ca" is:"path" help:"The authorities of the brokers' certificates, a PEM file; empty means those of this machine."`
	Cert       string `yaml:"cert" is:"path" help:"The clients' own certificate, a PEM file, for brokers that ask for one."`
	Key        string `yaml:"key" is:"path" help:"The private key of kafka.tls.cert, a PEM file."`
	ServerName string `yaml:"server_name" is:"text" help:"The name in the brokers' certificates; empty means the host that is asked."`
}

// KafkaSASLConfig is the clients' name and password.
type KafkaSASLConfig struct {
	Mechanism    string `yaml:"mechanism" oneof:"off|PLAIN|SCRAM-SHA-256|SCRAM-SHA-512" help:"off, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."`
	User         string `yaml:"user" is:"text" help:"The user."`
	Password     Secret `yaml:"password" is:"text" help:"The user's password."`
	PasswordFile string `yaml:"password_file" is:"path" help:"A file that holds the password, instead of password."`
}

// CommandServiceConfig is the HTTP command gateway.
type CommandServiceConfig struct {
	Address        string        `yaml:"address" is:"address" help:"Where commands are taken: POST /commands."`
	PublicURL      string        `yaml:"public_url" is:"url" help:"The URL of the command service for clients: the console sends commands there. Empty means command_service.address."`
	MaxInFlight    int           `yaml:"max_in_flight" range:"1..1000000" help:"Commands on their way to Kafka at once; one more gets a 503."`
	MaxUndecided   int           `yaml:"max_undecided" range:"1..10000000" help:"Commands that this process took and nobody has decided yet; one more gets a 503."`
	AcceptShorter  bool          `yaml:"accept_shorter_log" help:"Decide although consumer groups, read models or the state store prove that the log was longer. For one start, after an operator has restored an older log."`
	PublishTimeout time.Duration `yaml:"publish_timeout" range:"1ms..25s" help:"How long Kafka may take to hold a command before its client gets a 503."`
}

// QueryServiceConfig is the read models of a process, and the batches. A batch
// is one transaction.
type QueryServiceConfig struct {
	ReadModels  []string      `yaml:"read_models" is:"name" empty:"yes" help:"The read models that this process keeps up with the log; all when empty. Some process must keep each read model."`
	BatchSize   int           `yaml:"batch_size" range:"1..100000" help:"The most records in one transaction of a projection, of all partitions together."`
	BatchLinger time.Duration `yaml:"batch_linger" range:"0s..1s" help:"The longest time that a batch that is not full waits for more records: after the previous batch for the usual length of a transaction, under full load up to three times as long; for 5ms while no reader of a process with the role read-api waits for the read model, and nearly not at all while one waits; and at most this."`
}

// ReadAPIConfig is the HTTP queries.
type ReadAPIConfig struct {
	Address          string        `yaml:"address" is:"address" help:"Where queries are answered."`
	PublicURL        string        `yaml:"public_url" is:"url" help:"The URL of the read API for clients, in links. The command service makes such links too. Empty means read_api.address."`
	ReadAfterTimeout time.Duration `yaml:"read_after_timeout" range:"0s..10m" help:"How long a query with Read-After waits to be recent enough before a 503."`
}

// AdminConfig is the admin address. Every process has an admin address.
type AdminConfig struct {
	Address   string   `yaml:"address" is:"address" help:"The address of the console, /api, /livez, /readyz, /healthz, /metrics, /projections and /debug/pprof, in every process."`
	PublicURL string   `yaml:"public_url" is:"url" help:"The URL of the admin address for browsers, behind a proxy or on another machine; empty means admin.address. Console pages of this URL may call the commands and the queries."`
	Console   bool     `yaml:"console" help:"Serve the console, the pages for browsers. /api stays without the console."`
	Peers     []string `yaml:"peers" is:"peer" empty:"yes" help:"Admin addresses of the other processes, each name=URL, such as query-service=http://localhost:3005: the console has links to the peers, and their console pages may call the commands and the queries here."`
}

// HTTPConfig is the limits for HTTP clients.
type HTTPConfig struct {
	HeaderTimeout  time.Duration `yaml:"header_timeout" range:"1ms..5m" help:"How long a client may take for a request's headers, or for the TLS handshake."`
	ReadTimeout    time.Duration `yaml:"read_timeout" range:"1ms..1h" help:"How long a client may take for a whole request. Many commands in one request have 30s for each line."`
	WriteTimeout   time.Duration `yaml:"write_timeout" range:"1ms..1h" help:"How long an answer may take, waiting for an outcome included."`
	IdleTimeout    time.Duration `yaml:"idle_timeout" range:"1ms..1h" help:"How long a connection without a request is kept."`
	MaxHeaderBytes int           `yaml:"max_header_bytes" range:"4096..1048576" help:"How long a request's headers may be, in bytes."`
	MaxConnections int           `yaml:"max_connections" range:"0..1000000" help:"Connections to each address at once; others wait. 0 is no limit."`
}

// AuthConfig is the bearer tokens of callers.
type AuthConfig struct {
	Tokens     []Secret  `yaml:"tokens" is:"token" empty:"yes" help:"Static tokens, each name:scopes:sha256, such as shop:commands+queries:<the token's SHA-256 in hex>. Scopes: commands, queries, operate."`
	TokensFile string    `yaml:"tokens_file" is:"path" help:"A file with the tokens, one a line, instead of tokens."`
	JWT        JWTConfig `yaml:"jwt" help:"JSON Web Tokens, with the scopes in claim scope or scp."`
}

// JWTConfig is the issuer of JSON Web Tokens.
type JWTConfig struct {
	Issuer     string        `yaml:"issuer" is:"issuer" help:"The issuer, as in claim iss; empty means none. The keys are found by OpenID Connect discovery, unless keys names a file."`
	Audience   string        `yaml:"audience" is:"text" help:"The name that claim aud must have."`
	Keys       string        `yaml:"keys" is:"path" help:"A file of the issuer's public keys, PEM or a JSON Web Key Set."`
	Algorithms []string      `yaml:"algorithms" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" help:"The algorithms that a signature may have."`
	Leeway     time.Duration `yaml:"leeway" range:"0s..5m" help:"How far the issuer's clock may be off."`
}

// LimitsConfig is the limits of one caller, on the command service's address and
// on the read API's address each.
type LimitsConfig struct {
	RequestsPerSecond int `yaml:"requests_per_second" range:"0..1000000" help:"Requests a second, to the commands and to the queries each. Many commands in one request count as one."`
	Burst             int `yaml:"burst" range:"1..1000000" help:"How many may come at once after a rest."`
	InFlight          int `yaml:"in_flight" range:"0..1000000" help:"Requests under way at once, streams of changes included."`
}

// CORSConfig is the other origins whose pages may call the service.
type CORSConfig struct {
	AllowedOrigins []string `yaml:"allowed_origins" is:"origin" empty:"yes" help:"Pages that may call the commands and the queries from a browser, such as https://app.example.org; none when empty."`
}

// TLSConfig is the certificate of the HTTP addresses.
type TLSConfig struct {
	Cert     string `yaml:"cert" is:"path" help:"The certificate and its chain, a PEM file; empty means plain HTTP."`
	Key      string `yaml:"key" is:"path" help:"The certificate's private key, a PEM file."`
	ClientCA string `yaml:"client_ca" is:"path" help:"The authorities of the callers' certificates, a PEM file: if set, every caller must show a certificate."`
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
	OutcomesPerStream int `yaml:"outcomes_per_stream" range:"1..10000" help:"Outcomes remembered of each stream's last commands, for clients that send a command again."`
	Memory            int `yaml:"memory" range:"33554432..1099511627776" help:"Bytes of memory for the state store: streams in use, and what is kept of the disk. The store itself is in data_dir."`
}

// ReactionsConfig is the reactions of the service.
type ReactionsConfig struct {
	Enabled bool `yaml:"enabled" help:"Whether the command services run the service's reactions. Reactions that were off answer later what happened meanwhile."`
}

// TelemetryConfig is the telemetry that a process sends. Metrics are not sent:
// Prometheus asks the admin address.
type TelemetryConfig struct {
	Traces TracesConfig `yaml:"traces" help:"The receiver of traces (OpenTelemetry) of commands and queries."`
}

// TracesConfig is the receiver of traces.
type TracesConfig struct {
	Endpoint    string  `yaml:"endpoint" is:"url" help:"The URL of OTLP over HTTP, such as http://localhost:4318, without /v1/traces; empty means no traces."`
	SampleRatio float64 `yaml:"sample_ratio" range:"0..1" help:"The part of the requests without traceparent that is traced. If a request has traceparent, the client decides."`
}

// Default is the configuration without a file, variables or flags: all four
// roles on localhost, with the data in ./data.
func Default() Config {
	return Config{
		Roles:   []Role{Broker, CommandService, QueryService, ReadAPI},
		DataDir: "data",
		Log:     LogConfig{Format: "auto", Level: "info"},
		Broker:  BrokerConfig{Address: "localhost:9092"},
		Kafka: KafkaConfig{
			Brokers: []string{"localhost:9092"}, Partitions: 12, Replication: 1, CommandsKeep: 7 * 24 * time.Hour,
			SASL: KafkaSASLConfig{Mechanism: SASLOff},
		},
		CommandService: CommandServiceConfig{
			Address:        "localhost:3001",
			MaxInFlight:    1024,
			MaxUndecided:   10_000,
			PublishTimeout: 10 * time.Second,
		},
		QueryService: QueryServiceConfig{ReadModels: []string{}, BatchSize: 1000, BatchLinger: 20 * time.Millisecond},
		ReadAPI: ReadAPIConfig{
			Address:          "localhost:3002",
			ReadAfterTimeout: 5 * time.Second,
		},
		Admin: AdminConfig{Address: "localhost:3003", Console: true, Peers: []string{}},
		HTTP: HTTPConfig{
			HeaderTimeout:  10 * time.Second,
			ReadTimeout:    30 * time.Second,
			WriteTimeout:   60 * time.Second,
			IdleTimeout:    2 * time.Minute,
			MaxHeaderBytes: 16 << 10,
		},
		Auth: AuthConfig{
			Tokens: []Secret{},
			JWT:    JWTConfig{Algorithms: []string{"RS256"}, Leeway: 30 * time.Second},
		},
		Limits:          LimitsConfig{Burst: 100},
		CORS:            CORSConfig{AllowedOrigins: []string{}},
		Store:           StoreConfig{Driver: SQLite},
		Publish:         []string{},
		Handlers:        HandlersConfig{OutcomesPerStream: 128, Memory: 128 << 20},
		Reactions:       ReactionsConfig{Enabled: true},
		Telemetry:       TelemetryConfig{Traces: TracesConfig{SampleRatio: 1}},
		ShutdownTimeout: 10 * time.Second,
	}
}

// Has reports whether this process runs role.
func (c Config) Has(role Role) bool { return slices.Contains(c.Roles, role) }

// BrokerDir is the folder of the embedded broker's log.
func (c Config) BrokerDir() string { return filepath.Join(c.DataDir, "broker") }

// StateDir is the folder of the state store.
func (c Config) StateDir() string { return filepath.Join(c.DataDir, "state") }

// SQLitePath is the read models' database file: store.sqlite.path, or read.db
// in the data folder.
func (c Config) SQLitePath() string {
	if c.Store.SQLite.Path != "" {
		return c.Store.SQLite.Path
	}
	return filepath.Join(c.DataDir, "read.db")
}
