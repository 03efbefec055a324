// Package service runs a service: the command line, the configuration, and the
// roles of a process, wired by hand. A team lists the parts of a service in a
// [Domain], and calls [Main]:
//
//	func main() { os.Exit(service.Main(domain)) }
//
// Package servicetest runs a whole service in a test.
//
// # From the command line to the roles
//
//   - registered.go: the Domain, and the check of all parts
//   - run.go: Main, signals, exit codes; garbage.go, collector.go: the garbage
//     collector, under load and at rest
//   - cli.go: the command line; completion.go, version.go, progress.go: the
//     completion scripts, --version, the progress bar
//   - serve.go: a process: addresses, roles, start and stop
//   - command_service.go: role command-service; reactions.go: its reactions
//   - publish.go: public topics, and the command that rebuilds a topic
//   - query_service.go, maintained_model.go: role query-service, and one of the
//     read models of the role
//   - read_api.go: role read-api; origin.go: whether the read models belong to
//     the log
//
// # Shared by the roles
//
//   - kafka.go, guard.go, logging.go: settings of the configuration for Kafka,
//     HTTP and the log
//   - shared_tail.go: the log tail of the process
//   - console.go, console_overview.go, console_log.go, console_settings.go,
//     console_views.go: the console on the admin address, and its views;
//     console_post.go: commands of the console
//   - lazy_client.go: a client of Kafka that opens when somebody needs the client
//   - admin.go, metrics.go, projections_status.go: readiness, metrics, and GET
//     /projections on the admin address; ready.go: the lines of the log about
//     readiness
//   - openapi.go: GET /openapi.json; banner.go: the banner
//
// # Commands for operators
//
//   - setup.go, health.go: prepare topics and tables; ask /readyz
//   - log_copy.go, log_copy_reactions.go: the log with another number of partitions
//   - state.go: export and import of the state store
//   - open_log.go: the log for the commands below; tools.go: the store and the log
//     that a tool works on
//   - operate.go, parked.go, dead_letters.go: parked commands, dead letters;
//     reactions_cli.go: streams parked in reactions
//   - read_models.go: a session with store and log; projections_list.go,
//     projections_rebuild.go, projections_parked.go: generations of read models,
//     and parked streams; verify.go: the proof
//
// # For developers
//
//   - new.go: a new service, aggregate, command or reaction, by package scaffold;
//     questions.go: questions on a terminal
package service
