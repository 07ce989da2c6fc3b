//! Which reports the gate writes.

use std::path::PathBuf;

use clap::Args;

/// Reports in files, for those who show them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct ReportArgs {
    /// Write what was found as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Write it in the XML of JUnit, where each finding is a test
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write it as GitLab's code quality report
    #[arg(long, value_name = "FILE")]
    pub(crate) gitlab_codequality: Option<PathBuf>,
    /// Write it as a security report of GitLab, of type SAST
    #[arg(long, value_name = "FILE")]
    pub(crate) gitlab_sast: Option<PathBuf>,
    /// Write an attestation: what was seen, as a statement of in-toto in an envelope of DSSE
    #[arg(long, value_name = "FILE", requires = "attest_key")]
    pub(crate) attest: Option<PathBuf>,
    /// The private key that signs it: Ed25519 or ECDSA P-256, in PKCS#8, as PEM
    #[arg(long, value_name = "FILE", requires = "attest")]
    pub(crate) attest_key: Option<PathBuf>,
    /// A file that the command makes and that it is about; may be given several times [default: the commit]
    #[arg(long, value_name = "FILE", requires = "attest")]
    pub(crate) attest_subject: Vec<PathBuf>,
}
