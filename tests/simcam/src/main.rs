//! `simcam`: see `simcam --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match simcam::cli::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", simcam::cli::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("simcam: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(simcam::run(&options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simcam: {error:#}");
            ExitCode::FAILURE
        }
    }
}
