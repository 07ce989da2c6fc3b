//! Where this runs: as said, else as recognised, else production.

use detect::engine::Settings;
use event::Environment;

use crate::ci;
use crate::config::{Config, EnvironmentSetting};

/// What the engine must know of its surroundings.
pub(crate) fn settings(config: &Config) -> Settings {
    let pipeline = ci::own();
    let environment = match config.environment {
        EnvironmentSetting::Ci => Environment::Ci,
        EnvironmentSetting::Staging => Environment::Staging,
        EnvironmentSetting::Production => Environment::Production,
        EnvironmentSetting::Auto if pipeline.is_some() => Environment::Ci,
        EnvironmentSetting::Auto => Environment::Production,
    };
    let ci = pipeline.filter(|_| environment == Environment::Ci);
    Settings { environment, ci, seeded_severity: config.seeded_severity }
}
